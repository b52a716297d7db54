// SPDX-License-Identifier: Apache-2.0
import java.io.ByteArrayInputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.sql.Blob;
import java.sql.Clob;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

/** Values of every type, in both directions and both protocols. */
final class Values {
    private static final LocalDateTime MOMENT = LocalDateTime.of(2024, 2, 29, 12, 34, 56, 789012000);
    private static final int LONG_PIECE = 5_000_000;

    private Values() {}

    interface Bind {
        void to(PreparedStatement statement) throws SQLException;
    }

    static byte[] allBytes(int times) {
        byte[] bytes = new byte[256 * times];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) i;
        }
        return bytes;
    }

    static void types(Target target, Connection unused) throws Exception {
        for (String[] way : new String[][] {
            {"useServerPrepStmts", "false"}, {"useServerPrepStmts", "true"},
            {"useServerPrepStmts", "true", "tinyInt1isBit", "false", "yearIsDateType", "false"},
        }) {
            try (Connection connection = target.connect(way)) {
                Show.run(connection, "SELECT * FROM types ORDER BY id");
                Statements.prepare(connection, "SELECT * FROM types WHERE id >= ? ORDER BY id", 1);
            }
        }
        Statements.bothWays(target, Values::conversions);
    }

    /** The driver's conversions out of both protocols. */
    private static void conversions(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM types WHERE id = ?")) {
            for (int id = 1; id <= 3; id++) {
                statement.setInt(1, id);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
                        converted(rows, i);
                    }
                }
            }
        }
    }

    private interface Get {
        Object from(ResultSet rows, int column) throws SQLException;
    }

    private static void converted(ResultSet rows, int column) throws SQLException {
        Get[] all = {
            ResultSet::getString, ResultSet::getLong, ResultSet::getDouble, ResultSet::getBigDecimal,
            ResultSet::getBoolean, ResultSet::getDate, ResultSet::getTime, ResultSet::getTimestamp,
        };
        StringBuilder line = new StringBuilder("converted ").append(rows.getMetaData().getColumnName(column));
        for (Get get : all) {
            try {
                line.append(" ").append(Show.value(get.from(rows, column)));
            } catch (SQLException | RuntimeException refused) {
                line.append(" -");
            }
        }
        Show.line(line);
    }

    private static Map<String, Bind> parametersOfAllTypes() {
        Map<String, Bind> all = new LinkedHashMap<>();
        all.put("null", s -> s.setNull(1, Types.VARCHAR));
        all.put("true", s -> s.setBoolean(1, true));
        all.put("byte", s -> s.setByte(1, (byte) -128));
        all.put("short", s -> s.setShort(1, Short.MIN_VALUE));
        all.put("int", s -> s.setInt(1, Integer.MIN_VALUE));
        all.put("long", s -> s.setLong(1, Long.MIN_VALUE));
        all.put("longest", s -> s.setLong(1, Long.MAX_VALUE));
        all.put("float", s -> s.setFloat(1, -1.5f));
        all.put("double", s -> s.setDouble(1, 2.5e300));
        all.put("least double", s -> s.setDouble(1, Double.MIN_VALUE));
        all.put("decimal", s -> s.setBigDecimal(1, new BigDecimal("12345678901234567890.0123456789")));
        all.put("big integer", s -> s.setObject(1, new BigInteger("18446744073709551615")));
        all.put("string", s -> s.setString(1, "it's \"quoted\" \\ \u20ac \ud83d\udeaa"));
        all.put("national string", s -> s.setNString(1, "\u00fc"));
        all.put("empty", s -> s.setString(1, ""));
        all.put("300", s -> s.setString(1, "l".repeat(300)));
        all.put("70000", s -> s.setString(1, "L".repeat(70000)));
        all.put("bytes", s -> s.setBytes(1, new byte[] {0, 39, 92, -1}));
        all.put("no bytes", s -> s.setBytes(1, new byte[0]));
        all.put("date", s -> s.setDate(1, Date.valueOf("2024-02-29")));
        all.put("time", s -> s.setTime(1, Time.valueOf("12:34:56")));
        all.put("timestamp", s -> s.setTimestamp(1, Timestamp.valueOf(MOMENT)));
        all.put("whole second", s -> s.setTimestamp(1, Timestamp.valueOf("2024-02-29 12:34:56")));
        all.put("local date", s -> s.setObject(1, LocalDate.of(1000, 1, 1)));
        all.put("local time", s -> s.setObject(1, LocalTime.of(23, 59, 59, 999999000)));
        all.put("local date and time", s -> s.setObject(1, MOMENT));
        all.put("instant", s -> s.setObject(1, Instant.ofEpochSecond(1_000_000_000)));
        all.put("zoned", s -> s.setObject(1, ZonedDateTime.of(MOMENT, ZoneOffset.ofHours(2))));
        all.put("character", s -> s.setObject(1, 'c'));
        all.put("uuid", s -> s.setObject(1, UUID.fromString("00000000-1111-2222-3333-444444444444")));
        all.put("serialized", s -> s.setObject(1, Collections.singletonList("x")));
        all.put("ascii stream", s -> s.setAsciiStream(1, stream("ascii"), 5));
        all.put("binary stream", s -> s.setBinaryStream(1, stream("bin\0\\'")));
        all.put("part of a stream", s -> s.setBinaryStream(1, stream("shortened"), 5));
        all.put("reader", s -> s.setCharacterStream(1, new StringReader("r\u00e9ader \ud83d\udeaa")));
        all.put("blob", s -> s.setBlob(1, blob(s, new byte[] {1, 2, 3, 0})));
        all.put("clob", s -> s.setClob(1, clob(s, "cl\u00f6b")));
        all.put("int as varchar", s -> s.setObject(1, 42, Types.VARCHAR));
        all.put("string as bigint", s -> s.setObject(1, "42", Types.BIGINT));
        all.put("string as date", s -> s.setObject(1, "2024-02-29", Types.DATE));
        return all;
    }

    private static ByteArrayInputStream stream(String text) {
        return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
    }

    private static Blob blob(PreparedStatement statement, byte[] bytes) throws SQLException {
        Blob blob = statement.getConnection().createBlob();
        blob.setBytes(1, bytes);
        return blob;
    }

    private static Clob clob(PreparedStatement statement, String text) throws SQLException {
        Clob clob = statement.getConnection().createClob();
        clob.setString(1, text);
        return clob;
    }

    static void parameters(Target target, Connection unused) throws Exception {
        Statements.bothWays(target, connection -> {
            // The driver escapes its own way when a session has no escapes.
            for (String mode : new String[] {"@@sql_mode", "'NO_BACKSLASH_ESCAPES'"}) {
                Show.run(connection, "SET sql_mode = " + mode);
                parametersOfAllTypes().forEach((name, bind) -> {
                    Show.line(name);
                    Show.trying(() -> {
                        try (PreparedStatement statement = connection.prepareStatement("SELECT ? AS value")) {
                            bind.to(statement);
                            Show.results(statement, statement.execute());
                        }
                    });
                });
            }
            Show.run(connection, "SET sql_mode = DEFAULT");
            // The bitmap of what is null has more than a byte, and the types are sent once.
            Object[] values = new Object[300];
            Arrays.setAll(values, i -> i % 3 == 0 ? null : i % 3 == 1 ? (Object) i : "v" + i);
            Statements.prepare(connection, "SELECT CONCAT_WS(',', " + "?, ".repeat(299) + "?)", values);
            boundRow(connection);
        });
    }

    /** The types of the table take what was bound; a temporary table goes with the connection. */
    private static void boundRow(Connection connection) {
        Show.run(connection, "CREATE TEMPORARY TABLE bound LIKE types");
        Object[] row = {
            77, (byte) -128, 255, (short) -32768, 8388607, Integer.MIN_VALUE, Long.MIN_VALUE,
            new BigInteger("18446744073709551615"), new BigDecimal("1.5"), -1.5f, 2.5e300, new byte[] {1, 0, 1},
            LocalDate.of(1000, 1, 1), "-838:59:58.5", MOMENT, Timestamp.valueOf(MOMENT), 1901, "char",
            "v\u00e4r \ud83d\udeaa", new byte[] {0, -1, 10, 13}, new byte[] {0, 1}, new byte[] {0}, new byte[] {39, 92},
            "m".repeat(70000).getBytes(StandardCharsets.UTF_8), "l".repeat(300).getBytes(StandardCharsets.UTF_8), "tt",
            "text", "medium", "long", "two", "a,c", "{\"a\": [1, null]}", null,
        };
        Statements.prepare(connection, "INSERT INTO bound VALUES (" + "?, ".repeat(row.length - 1) + "?)", row);
        Show.run(connection, "SELECT * FROM bound");
        Show.run(connection, "DROP TEMPORARY TABLE bound");
    }

    static void longData(Target target, Connection unused) throws Exception {
        Statements.bothWays(target, connection -> {
            byte[] value = allBytes(LONG_PIECE / 256);
            for (int round = 0; round < 2; round++) {
                Show.run(connection, "DELETE FROM scratch");
                try (PreparedStatement statement =
                        connection.prepareStatement("INSERT INTO scratch VALUES (?, ?, ?)")) {
                    statement.setInt(1, 1);
                    statement.setCharacterStream(2, new StringReader("\u20ac".repeat(50)));
                    statement.setBinaryStream(3, new ByteArrayInputStream(value));
                    Show.line("affected", statement.executeUpdate());
                    // The same statement without long values: nothing of them may stay.
                    statement.setInt(1, 2);
                    statement.setString(2, "short");
                    statement.setBytes(3, new byte[] {9});
                    Show.line("affected", statement.executeUpdate());
                    statement.setInt(1, 1);
                    statement.setBinaryStream(3, new ByteArrayInputStream(value));
                    Show.trying(statement::executeUpdate);
                }
                Show.run(connection, "SELECT id, name, LENGTH(data), SHA2(data, 256) FROM scratch ORDER BY id");
            }
            Show.run(connection, "DELETE FROM scratch");
        });
    }

    static void blobs(Target target, Connection unused) throws Exception {
        Statements.bothWays(target, connection -> {
            Show.run(connection, "DELETE FROM scratch");
            byte[] data = allBytes(8);
            Statements.prepare(connection, "SELECT LENGTH(?) AS length, HEX(?) AS hex", data, allBytes(1));
            Statements.prepare(connection, "INSERT INTO scratch VALUES (?, ?, ?)", 1, null, data);
            Statements.prepare(connection, "INSERT INTO scratch VALUES (?, ?, ?)", 2, "", allBytes(4096));
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT data FROM scratch ORDER BY id")) {
                rows.next();
                Show.line("same bytes", Arrays.equals(rows.getBytes(1), data));
                rows.next();
                Show.line("same bytes", Arrays.equals(rows.getBinaryStream(1).readAllBytes(), allBytes(4096)));
            }
            Statements.prepare(connection, "SELECT id, data FROM scratch ORDER BY id");
            Statements.prepare(connection, "SELECT id, data FROM blobs ORDER BY id");
            Show.run(connection, "DELETE FROM scratch");
        });
    }
}
