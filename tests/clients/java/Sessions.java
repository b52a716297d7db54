// SPDX-License-Identifier: Apache-2.0
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import javax.sql.XAConnection;
import javax.transaction.xa.XAResource;
import org.mariadb.jdbc.MariaDbConnection;
import org.mariadb.jdbc.MariaDbDataSource;
import org.mariadb.jdbc.MariaDbPoolDataSource;
import org.mariadb.jdbc.MariaDbXid;

/** What lasts longer than a statement: transactions, settings, pools, ends. */
final class Sessions {
    private static final String ENDLESS = " SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d";

    private Sessions() {}

    static void transactions(Target target, Connection connection) throws Exception {
        Show.run(connection, "DELETE FROM scratch");
        connection.setAutoCommit(false);
        Show.run(connection, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
        connection.commit();
        Show.run(connection, "INSERT INTO scratch VALUES (2, 'kept too', NULL)");
        Savepoint named = connection.setSavepoint("named");
        Show.run(connection, "INSERT INTO scratch VALUES (3, 'lost', NULL)");
        connection.rollback(named);
        connection.releaseSavepoint(named);
        Savepoint unnamed = connection.setSavepoint();
        Show.run(connection, "INSERT INTO scratch VALUES (4, 'lost', NULL)");
        connection.rollback(unnamed);
        connection.commit();
        Show.run(connection, "INSERT INTO scratch VALUES (5, 'lost', NULL)");
        connection.rollback();
        connection.setAutoCommit(true);
        for (int level : new int[] {Connection.TRANSACTION_READ_UNCOMMITTED, Connection.TRANSACTION_SERIALIZABLE}) {
            connection.setTransactionIsolation(level);
            Show.line("isolation", connection.getTransactionIsolation());
        }
        connection.setReadOnly(true);
        Show.run(connection, "INSERT INTO scratch VALUES (6, 'read only', NULL)");
        Show.run(connection, "SELECT id, name FROM scratch ORDER BY id");
        Show.trying(() -> distributed(target));
        try (Connection leaves = target.connect("autocommit", "false")) {
            Show.run(leaves, "INSERT INTO scratch VALUES (8, 'gone', NULL)");
        }
        try (Connection last = target.connect()) {
            Show.run(last, "SELECT id, name FROM scratch ORDER BY id");
            Show.run(last, "DELETE FROM scratch");
        }
    }

    private static void distributed(Target target) throws Exception {
        XAConnection distributed = new MariaDbDataSource(target.url()).getXAConnection();
        XAResource resource = distributed.getXAResource();
        for (boolean commits : new boolean[] {true, false}) {
            int id = commits ? 70 : 71;
            MariaDbXid branch = new MariaDbXid(1, "global".getBytes(StandardCharsets.UTF_8), new byte[] {(byte) id});
            resource.start(branch, XAResource.TMNOFLAGS);
            Show.run(distributed.getConnection(), "INSERT INTO scratch VALUES (" + id + ", 'in two phases', NULL)");
            resource.end(branch, XAResource.TMSUCCESS);
            Show.line("prepared", resource.prepare(branch) == XAResource.XA_OK);
            if (commits) {
                resource.commit(branch, false);
            } else {
                resource.rollback(branch);
            }
        }
        distributed.close();
    }

    static void commands(Target target, Connection connection) throws Exception {
        Show.line("valid", connection.isValid(2));
        connection.setCatalog("information_schema");
        Show.line("schema", connection.getCatalog());
        Show.trying(() -> connection.setCatalog("no_such_schema"));
        Show.line("schema", connection.getCatalog());
        connection.setCatalog("shop");
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            Show.trying(() -> statement.executeQuery("SELECT" + ENDLESS));
            Show.line("behind the timeout", statement.executeQuery("SELECT 1").next());
        }
        Show.trying(() -> Show.line("holdability", connection.getHoldability(), connection.nativeSQL("{fn NOW()}")));
        silent(target);
        connection.abort(Runnable::run);
        Show.line("closed", connection.isClosed(), "valid", connection.isValid(1));
    }

    /** The driver stops listening in the middle of an answer, and closes; over JNA's Unix sockets it waits. */
    private static void silent(Target target) throws SQLException {
        try (Connection impatient = target.connect()) {
            impatient.setNetworkTimeout(Runnable::run, 300);
            Show.line("timeout", impatient.getNetworkTimeout(), "valid", impatient.isValid(1));
            Show.run(impatient, "SELECT 'quick enough'");
            try (Statement statement = impatient.createStatement()) {
                statement.execute("DO SLEEP(1)");
            } catch (SQLException expected) {
                // What it says depends on the transport.
            }
        }
        try (Connection next = target.connect()) {
            Show.run(next, "SELECT 'another connection'");
        }
    }

    /** The driver follows the schema and the variables that the server tells it. */
    static void sessionTrack(Target target, Connection connection) throws Exception {
        Show.run(connection, "USE information_schema");
        Show.line("schema", connection.getCatalog());
        Show.run(connection, "SET autocommit = 0");
        Show.line("autocommit", connection.getAutoCommit());
        Show.run(connection, "SET autocommit = 1; USE shop");
        Show.line("schema", connection.getCatalog(), "autocommit", connection.getAutoCommit());
        Show.run(connection, "SET time_zone = '+01:00', character_set_results = utf8mb4");
        Show.run(connection, "SET character_set_client = latin1");
        Show.run(connection, "SELECT @@character_set_client");
    }

    private static MariaDbPoolDataSource poolOf(Target target, int size, String reset) throws SQLException {
        // Without a timeout of its own the driver's reset of a changed one fails.
        return new MariaDbPoolDataSource(target.url("maxPoolSize", String.valueOf(size), "minPoolSize", "1",
                "useResetConnection", reset, "poolValidMinDelay", "0", "socketTimeout", "30000"));
    }

    static void resetConnection(Target target, Connection unused) throws Exception {
        for (String reset : new String[] {"true", "false"}) {
            try (MariaDbPoolDataSource pool = poolOf(target, 1, reset)) {
                for (int round = 0; round < 3; round++) {
                    try (Connection connection = pool.getConnection()) {
                        Show.run(connection, "SELECT @kept, @@sql_mode = '', DATABASE()");
                        Show.run(connection, "SET @kept = " + round + ", sql_mode = ''");
                        Show.run(connection, "CREATE TEMPORARY TABLE IF NOT EXISTS of_a_session (id INT)");
                        Statements.prepare(connection, "SELECT ? + @kept", 1);
                        connection.setAutoCommit(false);
                        Show.run(connection, "INSERT INTO scratch VALUES (1, 'not committed', NULL)");
                    }
                }
                try (Connection connection = pool.getConnection()) {
                    Show.run(connection, "SELECT COUNT(*) FROM scratch");
                }
            }
        }
    }

    /** Ten threads share four connections; nobody gets another's answer. */
    static void pool(Target target, Connection unused) throws Exception {
        try (MariaDbPoolDataSource pool = poolOf(target, 4, "true")) {
            ExecutorService threads = Executors.newFixedThreadPool(10);
            String[] answers = new String[10];
            for (int i = 0; i < answers.length; i++) {
                int worker = i;
                threads.execute(() -> answers[worker] = work(pool, worker));
            }
            threads.shutdown();
            Show.line("ended", threads.awaitTermination(60, TimeUnit.SECONDS));
            for (int i = 0; i < answers.length; i++) {
                Show.line("worker", i, answers[i]);
            }
        }
    }

    private static String work(MariaDbPoolDataSource pool, int worker) {
        int wrong = 0;
        for (int i = 0; i < 25; i++) {
            try (Connection connection = pool.getConnection();
                    PreparedStatement statement = connection.prepareStatement("SELECT ? + @mine")) {
                connection.setNetworkTimeout(Runnable::run, 20000);
                try (Statement set = connection.createStatement()) {
                    set.execute("SET @mine = " + worker);
                }
                statement.setInt(1, i * 100);
                try (ResultSet rows = statement.executeQuery()) {
                    wrong += rows.next() && rows.getInt(1) == i * 100 + worker ? 0 : 1;
                }
                wrong += connection.isValid(5) ? 0 : 1;
            } catch (SQLException error) {
                return "after " + i + ": " + Show.failure(error);
            }
        }
        return "wrong " + wrong;
    }

    private static long idOf(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT CONNECTION_ID()")) {
            rows.next();
            return rows.getLong(1);
        }
    }

    private static void waitFor(Connection other, long id, String beginning) throws Exception {
        try (PreparedStatement statement = other.prepareStatement(
                "SELECT 1 FROM information_schema.processlist WHERE id = ? AND info LIKE ?")) {
            statement.setLong(1, id);
            statement.setString(2, beginning + "%");
            for (int i = 0; i < 500; i++) {
                try (ResultSet rows = statement.executeQuery()) {
                    if (rows.next()) {
                        return;
                    }
                }
                Thread.sleep(20);
            }
        }
    }

    static void kill(Target target, Connection connection) throws Exception {
        long id = idOf(connection);
        try (Connection other = target.connect(); Statement killed = connection.createStatement()) {
            Show.line("the driver's id", connection.unwrap(MariaDbConnection.class).getServerThreadId() == id);
            for (boolean cancels : new boolean[] {false, true}) {
                Thread killer = new Thread(() -> Show.trying(() -> {
                    waitFor(other, id, "SELECT /* to be killed */");
                    if (cancels) {
                        // The driver opens a connection of its own for this.
                        killed.cancel();
                    } else {
                        other.createStatement().execute("KILL QUERY " + id);
                    }
                }));
                killer.start();
                Show.trying(() -> killed.executeQuery("SELECT /* to be killed */" + ENDLESS));
                killer.join();
                Show.run(connection, "SELECT 'still here'");
            }
            Show.run(other, "KILL " + id);
            Thread.sleep(300);
            // How the loss is worded is the proxy's own matter.
            Show.line("valid", connection.isValid(1));
            Show.run(other, "SELECT 'still here'");
        }
    }
}
