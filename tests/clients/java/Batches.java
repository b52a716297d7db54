// SPDX-License-Identifier: Apache-2.0
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.Arrays;

/** Many rows at once, in each of the driver's ways. */
final class Batches {
    private static final int ROWS = 400;
    private static final String INSERT = "INSERT INTO scratch VALUES (?, ?, ?)";

    private Batches() {}

    /** MariaDB's bulk command, several rows in one INSERT, and neither. */
    static void bulk(Target target, Connection unused) throws Exception {
        for (String bulk : new String[] {"true", "false"}) {
            for (String rewrite : new String[] {"true", "false"}) {
                for (String server : new String[] {"true", "false"}) {
                    Show.line("bulk", bulk, "rewrite", rewrite, "server", server);
                    try (Connection connection = target.connect("useBulkStmts", bulk, "useBatchMultiSend", "false",
                            "rewriteBatchedStatements", rewrite, "useServerPrepStmts", server)) {
                        batches(connection);
                    }
                }
            }
        }
    }

    /** Commands ahead of the answers to the ones before; during the login, too. */
    static void pipelining(Target target, Connection unused) throws Exception {
        for (String server : new String[] {"true", "false"}) {
            for (String atOnce : new String[] {"1", "7", "100"}) {
                Show.line("server", server, "at once", atOnce);
                try (Connection connection = target.connect("useBulkStmts", "false", "useServerPrepStmts", server,
                        "useBatchMultiSend", "true", "useBatchMultiSendNumber", atOnce, "usePipelineAuth", "true")) {
                    batches(connection);
                }
            }
            try (Connection connection = target.connect("useBulkStmts", "false", "useServerPrepStmts", server,
                    "useBatchMultiSend", "true", "usePipelineAuth", "true", "continueBatchOnError", "false")) {
                failing(connection);
                Show.run(connection, "DELETE FROM scratch");
            }
        }
    }

    private static void batches(Connection connection) throws SQLException {
        Show.run(connection, "DELETE FROM scratch");
        inserted(connection);
        generated(connection);
        failing(connection);
        statements(connection);
        wrongText(connection);
        Show.run(connection, "SELECT 'still here'");
        Show.run(connection, "DELETE FROM scratch");
    }

    private static void inserted(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(INSERT)) {
            for (int i = 0; i < ROWS; i++) {
                statement.setInt(1, i);
                if (i % 7 == 0) {
                    statement.setNull(2, Types.VARCHAR);
                } else {
                    statement.setString(2, "name " + i + (i % 5 == 0 ? " \u20ac'\\" : ""));
                }
                statement.setBytes(3, i % 11 == 0 ? null : new byte[] {(byte) i, 0, 39, 92});
                statement.addBatch();
            }
            Show.line("counts", Show.value(Arrays.toString(statement.executeBatch())));
            Show.warnings(statement);
            // A type that changes between rows ends a bulk.
            statement.setInt(1, ROWS);
            statement.setString(2, "int");
            statement.setBytes(3, null);
            statement.addBatch();
            statement.setString(1, String.valueOf(ROWS + 1));
            statement.setInt(2, 5);
            statement.setString(3, "text");
            statement.addBatch();
            Show.line("counts", Arrays.toString(statement.executeBatch()));
            Show.line("none", Arrays.toString(statement.executeBatch()));
        }
        Show.run(connection, "SELECT COUNT(*), SUM(id), COUNT(name), COUNT(data),"
                + " SHA2(GROUP_CONCAT(HEX(data) ORDER BY id), 256),"
                + " SHA2(GROUP_CONCAT(name ORDER BY id), 256) FROM scratch");
        try (PreparedStatement statement = connection.prepareStatement("UPDATE scratch SET name = ? WHERE id = ?")) {
            for (int i = 0; i < 20; i++) {
                statement.setString(1, "changed " + i);
                statement.setInt(2, i * 25);
                statement.addBatch();
            }
            Show.line("counts", Arrays.toString(statement.executeLargeBatch()));
        }
    }

    private static void generated(Connection connection) throws SQLException {
        Show.run(connection, "CREATE TEMPORARY TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(10))");
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO counted (name) VALUES (?)",
                Statement.RETURN_GENERATED_KEYS)) {
            for (String name : new String[] {"a", "b", "c", "d"}) {
                statement.setString(1, name);
                statement.addBatch();
            }
            Show.line("counts", Arrays.toString(statement.executeBatch()));
            Show.keys(statement);
        }
        Show.run(connection, "DROP TEMPORARY TABLE counted");
    }

    /** A row in the middle is refused. */
    private static void failing(Connection connection) throws SQLException {
        Show.run(connection, "DELETE FROM scratch");
        try (PreparedStatement statement = connection.prepareStatement(INSERT)) {
            for (int id : new int[] {1, 2, 2, 3, 4, 4, 5}) {
                statement.setInt(1, id);
                statement.setString(2, "x");
                statement.setNull(3, Types.BLOB);
                statement.addBatch();
            }
            Show.trying(() -> Show.line("counts", Arrays.toString(statement.executeBatch())));
        }
        Show.run(connection, "SELECT GROUP_CONCAT(id ORDER BY id) FROM scratch");
    }

    private static void statements(Connection connection) throws SQLException {
        Show.run(connection, "DELETE FROM scratch");
        try (Statement statement = connection.createStatement()) {
            for (int i = 0; i < 30; i++) {
                statement.addBatch("INSERT INTO scratch VALUES (" + i + ", 'of a batch', NULL)");
            }
            statement.addBatch("UPDATE scratch SET name = 'changed' WHERE id > 20");
            statement.addBatch("DO 0");
            Show.line("counts", Arrays.toString(statement.executeBatch()));
            statement.addBatch("INSERT INTO scratch VALUES (100, 'before', NULL)");
            statement.addBatch("INSERT INTO scratch VALUES (1, 'again', NULL)");
            statement.addBatch("INSERT INTO scratch VALUES (101, 'behind', NULL)");
            Show.trying(() -> Show.line("counts", Arrays.toString(statement.executeBatch())));
        }
        Show.run(connection, "SELECT COUNT(*), SUM(id) FROM scratch");
    }

    /** A prepare that fails with executions behind it. */
    private static void wrongText(Connection connection) {
        Show.trying(() -> {
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO nowhere VALUES (?)")) {
                for (int i = 0; i < 5; i++) {
                    statement.setInt(1, i);
                    statement.addBatch();
                }
                Show.line("counts", Arrays.toString(statement.executeBatch()));
            }
        });
    }
}
