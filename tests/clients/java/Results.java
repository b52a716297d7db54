// SPDX-License-Identifier: Apache-2.0
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HexFormat;
import org.mariadb.jdbc.MariaDbStatement;

/** Long results, long statements, files. */
final class Results {
    private static final String MANY = "SELECT a.n, b.n FROM numbers a, numbers b WHERE a.n <= 50 ORDER BY a.n, b.n";

    private Results() {}

    /** No cursor at the server: with a fetch size the driver reads rows off the connection as they are wanted. */
    static void unbuffered(Target target, Connection unused) throws Exception {
        Statements.bothWays(target, connection -> {
            for (int size : new int[] {1, 7, 10000}) {
                try (PreparedStatement statement = connection.prepareStatement(MANY)) {
                    statement.setFetchSize(size);
                    early(connection, statement);
                    whole(statement);
                }
            }
            Show.run(connection, "SELECT 'behind the streams'");
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(1);
                Show.trying(() -> Show.results(statement, statement.execute(
                        "SELECT n, (SELECT a.n FROM numbers a WHERE a.n <= numbers.n) FROM numbers ORDER BY n")));
            }
            try (Statement statement = connection.createStatement()) {
                statement.setMaxRows(3);
                Show.results(statement, statement.execute("SELECT n FROM numbers ORDER BY n"));
            }
            Show.run(connection, "SELECT 'still here'");
        });
    }

    /** Another statement in the middle of a stream makes the driver read the rest into memory. */
    private static void early(Connection connection, PreparedStatement statement) throws SQLException {
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            Show.line("first", rows.getInt(1), rows.getInt(2));
            Show.run(connection, "SELECT 'in between'");
            rows.next();
            Show.line("second", rows.getInt(1), rows.getInt(2));
        }
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
        }
        Show.run(connection, "SELECT 'after an early end'");
    }

    private static void whole(PreparedStatement statement) throws SQLException {
        long sum = 0;
        int count = 0;
        try (ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
                sum += (long) rows.getInt(1) * rows.getInt(2);
                count++;
            }
        }
        Show.line(count, "rows", sum);
    }

    /** What `LOAD DATA LOCAL INFILE` of any name sends, instead of a file. */
    private static void load(Connection connection, String shown, String path, InputStream data) {
        Show.trying(() -> {
            try (Statement statement = connection.createStatement()) {
                if (data != null) {
                    statement.unwrap(MariaDbStatement.class).setLocalInfileInputStream(data);
                }
                try {
                    Show.line(shown, statement.executeUpdate(
                            "LOAD DATA LOCAL INFILE '" + path + "' INTO TABLE scratch CHARACTER SET utf8mb4"));
                    Show.warnings(statement);
                } catch (SQLException error) {
                    Show.line(shown, Show.failure(error).replace(path, shown));
                }
            }
        });
    }

    private static InputStream stream(String text) {
        return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
    }

    static void localInfile(Target target, Connection unused) throws Exception {
        try (Connection connection = target.connect("allowLocalInfile", "true")) {
            Show.run(connection, "DELETE FROM scratch");
            load(connection, "small", "small", stream("1\tone\t\\N\n2\t\u20ac\tdata\n2\tagain\tx\nx\ty\n"));
            Show.run(connection, "SELECT * FROM scratch ORDER BY id");
            StringBuilder large = new StringBuilder();
            for (int i = 10; i < 210; i++) {
                large.append(i).append("\t").append("n".repeat(50)).append("\t");
                large.append(Character.toString(97 + i % 26).repeat(100000)).append("\n");
            }
            load(connection, "large", "large", stream(large.toString()));
            Show.run(connection, "SELECT COUNT(*), SUM(LENGTH(data)), MAX(SHA2(data, 256)) FROM scratch");
            load(connection, "empty", "empty", stream(""));
            load(connection, "missing", "/nonexistent/file", null);
            Path file = Files.createTempFile("cases", ".tsv");
            Files.writeString(file, "5000\tfrom a file\t\\N\n");
            load(connection, "file", file.toString(), null);
            Files.delete(file);
            Show.run(connection, "SELECT id, name FROM scratch WHERE id = 5000");
            Show.run(connection, "DELETE FROM scratch");
        }
    }

    static void localInfileOff(Target target, Connection unused) throws Exception {
        try (Connection connection = target.connect("allowLocalInfile", "false")) {
            load(connection, "small", "small", null);
            Show.run(connection, "SELECT 'still here'");
        }
    }

    static void bigStatement(Target target, Connection unused) throws Exception {
        String value = "abcdefghijklmnopqrst".repeat(1_000_000);
        Statements.bothWays(target, connection -> {
            Statements.prepare(connection, "SELECT LENGTH(?) AS length, SHA2(?, 256) AS hash", value, "short");
            // Exactly one packet's size, and one byte less and more: the split ends with an empty packet or does not.
            for (int size : new int[] {0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1}) {
                String before = "SELECT LENGTH('";
                String after = "') AS length";
                Show.run(connection, before + "z".repeat(size - 1 - before.length() - after.length()) + after);
            }
        });
    }

    static void bigResult(Target target, Connection unused) throws Exception {
        Statements.bothWays(target, connection -> {
            for (int size : new int[] {0, 1}) {
                try (PreparedStatement statement = connection.prepareStatement(
                        "SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) FROM numbers WHERE n <= ? UNION ALL"
                        + " SELECT 0, REPEAT('z', 17000000)")) {
                    statement.setInt(1, 20);
                    statement.setFetchSize(size);
                    hashed(statement);
                }
            }
        });
    }

    private static void hashed(PreparedStatement statement) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-1");
        int count = 0;
        try (ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
                digest.update((rows.getInt(1) + " ").getBytes(StandardCharsets.UTF_8));
                digest.update(rows.getBytes(2));
                count++;
            }
        }
        Show.line(count, "rows", HexFormat.of().formatHex(digest.digest()));
    }

    static void compression(Target target, Connection unused) throws Exception {
        for (String server : new String[] {"false", "true"}) {
            try (Connection connection = target.connect("useCompression", "true", "useServerPrepStmts", server)) {
                Show.run(connection, "SHOW SESSION STATUS LIKE 'Compression'");
                Show.run(connection, "SELECT * FROM types ORDER BY id");
                Statements.prepare(connection, "SELECT ?, ?", "text", null);
                Show.run(connection, "DELETE FROM scratch");
                Statements.prepare(connection, "INSERT INTO scratch VALUES (1, NULL, ?)", (Object) Values.allBytes(1));
                Show.run(connection, "SELECT * FROM scratch");
                Show.run(connection, "DELETE FROM scratch");
                Statements.prepare(connection, "SELECT LENGTH(?) AS length, SHA2(?, 256) AS hash",
                        "q".repeat(20_000_000), "short");
                Show.run(connection, "SELECT REPEAT('abcdefghij', 2000000)");
                for (int i = 0; i < 20; i++) {
                    Show.run(connection, "SELECT " + i + ", REPEAT('x', " + i * 10 + ")");
                }
            }
        }
    }
}
