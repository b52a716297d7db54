// SPDX-License-Identifier: Apache-2.0
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;

/** Statements of both protocols, and what comes back from them. */
final class Statements {
    static final String[] CLIENT_SIDE = {"useServerPrepStmts", "false"};
    static final String[] SERVER_SIDE = {"useServerPrepStmts", "true"};
    private static final String COUNTED =
            "CREATE TEMPORARY TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(10))";

    private Statements() {}

    interface Use {
        void run(Connection connection) throws Exception;
    }

    /** With values put into the text by the driver, then with statements prepared at the server. */
    static void bothWays(Target target, Use use) throws Exception {
        for (String[] way : new String[][] {CLIENT_SIDE, SERVER_SIDE}) {
            try (Connection connection = target.connect(way)) {
                use.run(connection);
            }
        }
    }

    static void prepare(Connection connection, String text, Object... values) {
        Show.trying(() -> {
            try (PreparedStatement statement = connection.prepareStatement(text, Statement.RETURN_GENERATED_KEYS)) {
                execute(statement, values);
            }
        });
    }

    static void execute(PreparedStatement statement, Object... values) {
        Show.trying(() -> {
            for (int i = 0; i < values.length; i++) {
                statement.setObject(i + 1, values[i]);
            }
            boolean hasRows = statement.execute();
            if (!hasRows) {
                Show.keys(statement);
            }
            Show.results(statement, hasRows);
        });
    }

    static void text(Target target, Connection connection) throws Exception {
        Show.run(connection, "SELECT 1, NULL, 'text', '', 2.50");
        Show.run(connection, "SELECT * FROM types WHERE id = 0");
        Show.run(connection, "SELECT 'it''s \"quoted\" \\\\ \u20ac \ud83d\udeaa', -1.5e0");
        Show.run(connection, "SELECT id AS number, name, price FROM items ORDER BY id");
        Show.run(connection, "UPDATE items SET price = price");
        Show.run(connection, COUNTED);
        try (Statement statement = connection.createStatement()) {
            for (String insert : new String[] {
                "INSERT INTO counted (name) VALUES ('a'), ('b'), ('c')", "INSERT INTO counted VALUES (100, 'd')",
                "INSERT INTO counted (name) VALUES ('e')", "REPLACE INTO counted VALUES (1, NULL)"
            }) {
                Show.line("affected", statement.executeUpdate(insert, Statement.RETURN_GENERATED_KEYS));
                Show.keys(statement);
            }
        }
        updatable(connection);
        Show.run(connection, "SELECT {fn CONCAT('a', 'b')}, {d '2024-02-29'}, {ts '2024-02-29 12:34:56'}");
    }

    /** The driver writes its own statements for a row that is changed in place. */
    private static void updatable(Connection connection) throws SQLException {
        Show.run(connection, "DELETE FROM scratch");
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE,
                ResultSet.CONCUR_UPDATABLE)) {
            statement.execute("INSERT INTO scratch VALUES (1, 'one', NULL), (2, 'two', X'00FF')");
            try (ResultSet rows = statement.executeQuery("SELECT id, name, data FROM scratch ORDER BY id")) {
                rows.next();
                rows.updateString("name", "changed");
                rows.updateRow();
                rows.next();
                rows.deleteRow();
                rows.moveToInsertRow();
                rows.updateInt(1, 3);
                rows.updateBytes(3, new byte[] {0, 39, 92});
                rows.insertRow();
            }
        }
        Show.run(connection, "SELECT * FROM scratch ORDER BY id");
        Show.run(connection, "DELETE FROM scratch");
    }

    static void prepared(Target target, Connection unused) throws Exception {
        bothWays(target, connection -> {
            try (PreparedStatement statement =
                    connection.prepareStatement("SELECT id, name, price FROM items WHERE id = ? OR name = ?")) {
                Show.line("parameters", statement.getParameterMetaData().getParameterCount());
                execute(statement, 1, "chair");
                execute(statement, "3", null);
                execute(statement, 2.0, "\u20ac");
                execute(statement, 99L, "");
                statement.clearParameters();
                Show.trying(() -> statement.executeQuery());
            }
            prepare(connection, "SELECT nothing FROM nowhere");
            prepare(connection, "SELECT ? +", 1);
            prepare(connection, "SET @a = ?", "kept");
            prepare(connection, "SELECT @a, ?", "and");
            Show.run(connection, COUNTED);
            prepare(connection, "INSERT INTO counted (name) VALUES (?), (?)", "a", "b");
            many(connection);
        });
        try (Connection connection = target.connect("useServerPrepStmts", "true", "cachePrepStmts", "true",
                "prepStmtCacheSize", "3")) {
            for (int i = 0; i < 20; i++) {
                try (PreparedStatement statement = connection.prepareStatement("SELECT " + i % 5 + " + ?")) {
                    statement.setInt(1, i);
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        Show.line("cached", rows.getInt(1));
                    }
                }
            }
        }
    }

    /** Statements that are alive at once, and closed at once: no close has an answer. */
    private static void many(Connection connection) throws SQLException {
        List<PreparedStatement> many = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            many.add(connection.prepareStatement("SELECT " + i + " AS number, ? AS value"));
        }
        execute(many.get(17), 1);
        for (PreparedStatement statement : many.subList(0, 250)) {
            statement.close();
        }
        execute(many.get(299), 2);
        for (PreparedStatement statement : many.subList(250, 300)) {
            statement.close();
        }
        Show.run(connection, "SELECT 'still here'");
    }

    static void multi(Target target, Connection connection) throws Exception {
        Show.run(connection, "SELECT 1; DO 0; SELECT 2 WHERE FALSE;"
                + " UPDATE items SET price = price WHERE id = 2; SELECT 3");
        Show.run(connection, "SELECT 1; SELECT no_such_column; SELECT 3");
        Show.run(connection, "CALL two_results()");
        Show.run(connection, "CALL fails_midway()");
        Show.run(connection, "CALL add_one(41, @result); SELECT @result");
        bothWays(target, one -> {
            prepare(one, "CALL two_results()");
            prepare(one, "CALL fails_midway()");
            Show.trying(() -> {
                try (CallableStatement call = one.prepareCall("{CALL add_one(?, ?)}")) {
                    call.setInt(1, 41);
                    call.registerOutParameter(2, Types.INTEGER);
                    call.execute();
                    Show.line("out", call.getInt(2), Show.value(call.getObject("result")));
                    call.setInt(1, -1);
                    call.execute();
                    Show.line("out", call.getInt(2));
                }
            });
        });
        try (Statement statement = connection.createStatement()) {
            // Not all results are asked for: the driver reads the rest away.
            statement.setFetchSize(1);
            statement.execute("SELECT n FROM numbers; SELECT 2; SELECT 3");
        }
        Show.run(connection, "SELECT 'still here'");
        try (Connection one = target.connect()) {
            one.setClientInfo("ApplicationName", "tests");
            Show.line("client info", one.getClientInfo("ApplicationName"));
        }
    }

    static void errors(Target target, Connection connection) throws Exception {
        String[] statements = {
            "SELECT", "SELECT * FROM no_such_table", "INSERT INTO items VALUES (1, 'again', 1)",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'", "SELECT * FROM mysql.user",
            "INSERT INTO no_such_schema.t VALUES (1)",
            "SELECT n, (SELECT a.n FROM numbers a WHERE a.n <= numbers.n) FROM numbers ORDER BY n",
            "SELECT 'still here'"
        };
        for (String statement : statements) {
            Show.run(connection, statement);
        }
        bothWays(target, one -> {
            for (String statement : statements) {
                prepare(one, statement);
            }
        });
        Show.trying(() -> target.connect("schema", "no_such_schema").close());
        Show.trying(() -> target.connect("sessionVariables", "no_such_variable=1").close());
    }

    static void warnings(Target target, Connection unused) throws Exception {
        bothWays(target, connection -> {
            prepare(connection, "SELECT CAST(? AS SIGNED), 1 / 0", "12abc");
            Show.run(connection, "SHOW WARNINGS");
            Show.run(connection, "DROP TABLE IF EXISTS no_such_table");
            Show.run(connection, "SET SESSION sql_mode = ''");
            prepare(connection, "INSERT INTO scratch (id, name) VALUES (?, ?)", 1, "w".repeat(100));
            Show.run(connection, "SHOW COUNT(*) WARNINGS");
            Show.line("of the connection", connection.getWarnings());
            Show.run(connection, "DELETE FROM scratch");
        });
    }

    /** The driver insists on UTF-8 for itself; only what the server converts to can be another. */
    static void charsets(Target target, Connection connection) throws Exception {
        Show.run(connection, "SELECT @@character_set_client, @@character_set_connection, @@character_set_results,"
                + " @@collation_connection");
        for (String set : new String[] {"latin1", "utf8mb3", "gbk", "sjis"}) {
            Show.run(connection, "CREATE TEMPORARY TABLE converted (v VARCHAR(50)) CHARACTER SET " + set);
            Show.run(connection, "INSERT INTO converted VALUES ('m\u00fcll'), ('\u8868'), ('ascii')");
            Show.run(connection, "SELECT v, HEX(v) FROM converted");
            Show.run(connection, "DROP TEMPORARY TABLE converted");
        }
        try (Connection one = target.connect("sessionVariables", "collation_connection=utf8mb4_bin")) {
            Show.run(one, "SELECT @@collation_connection, 'a' = 'A'");
        }
    }

    static void info(Target target, Connection unused) throws Exception {
        for (String affected : new String[] {"false", "true"}) {
            try (Connection connection = target.connect("useAffectedRows", affected)) {
                Show.run(connection, "UPDATE items SET price = price");
                Show.run(connection, "INSERT INTO items VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE price = price");
                prepare(connection, "UPDATE items SET price = price WHERE id <= ?", 2);
            }
        }
        try (Connection connection = target.connect()) {
            metadata(connection.getMetaData());
        }
    }

    /** The driver's own questions to the server. */
    private static void metadata(DatabaseMetaData meta) throws SQLException {
        Show.line("product", meta.getDatabaseProductName(), meta.getDatabaseProductVersion(),
                meta.getDatabaseMajorVersion());
        list("tables", meta.getTables("shop", null, "%", null));
        list("columns", meta.getColumns("shop", null, "types", "%"));
        list("keys", meta.getPrimaryKeys("shop", null, "items"));
        list("indexes", meta.getIndexInfo("shop", null, "items", false, true));
        list("procedures", meta.getProcedures("shop", null, "%"));
        list("arguments", meta.getProcedureColumns("shop", null, "add_one", "%"));
        list("imported", meta.getImportedKeys("shop", null, "items"));
        list("best row", meta.getBestRowIdentifier("shop", null, "items", DatabaseMetaData.bestRowSession, true));
        list("kinds", meta.getTableTypes());
        list("types", meta.getTypeInfo());
        Show.line("keywords", Show.value(meta.getSQLKeywords()));
        Show.line("limits", meta.getMaxStatements(), meta.getMaxColumnNameLength(),
                meta.getDefaultTransactionIsolation());
    }

    private static void list(String what, ResultSet rows) throws SQLException {
        try (rows) {
            Show.line(what);
            Show.values(rows);
        }
    }
}
