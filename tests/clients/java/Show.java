// SPDX-License-Identifier: Apache-2.0
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.BatchUpdateException;
import java.sql.Blob;
import java.sql.Clob;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.Arrays;
import java.util.HexFormat;

/** Prints what the server answered, and nothing that differs between two runs. */
final class Show {
    private static final int SHOWN = 80;
    static final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private Show() {}

    static String hash(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(bytes));
        } catch (java.security.NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    static void line(Object... words) {
        StringBuilder line = new StringBuilder();
        for (Object word : words) {
            line.append(line.length() == 0 ? "" : " ").append(word);
        }
        out.println(line);
    }

    /** A value with its class. */
    static String value(Object value) throws SQLException {
        if (value == null) {
            return "null";
        }
        if (value instanceof byte[]) {
            byte[] bytes = (byte[]) value;
            return bytes.length > SHOWN ? "byte[]<" + bytes.length + " " + hash(bytes) + ">"
                    : "byte[]'" + HexFormat.of().formatHex(bytes) + "'";
        }
        if (value instanceof Clob) {
            Clob clob = (Clob) value;
            return "Clob:" + value(clob.getSubString(1, (int) clob.length()));
        }
        if (value instanceof Blob) {
            Blob blob = (Blob) value;
            return "Blob:" + value(blob.getBytes(1, (int) blob.length()));
        }
        String text = value.toString();
        String shown = text.length() <= SHOWN ? "'" + escape(text) + "'"
                : "<" + text.length() + " " + hash(text.getBytes(StandardCharsets.UTF_8)) + ">";
        return value.getClass().getSimpleName() + shown;
    }

    private static String escape(String text) {
        StringBuilder shown = new StringBuilder();
        for (char c : text.toCharArray()) {
            shown.append(Character.isISOControl(c) ? String.format("\\x%02x", (int) c) : String.valueOf(c));
        }
        return shown.toString();
    }

    /** The driver puts the connection's id, and addresses, into its messages. */
    static String failure(Throwable thrown) {
        if (!(thrown instanceof SQLException)) {
            return "error of the client " + thrown.getClass().getSimpleName() + " " + thrown.getMessage();
        }
        SQLException error = (SQLException) thrown;
        String message = String.valueOf(error.getMessage()).replaceAll("\\(conn=\\d+\\)", "(conn)")
                .replaceAll("address=\\(host=[^)]*\\)\\(port=\\d+\\)(\\(type=\\w+\\))?", "(address)")
                .replaceAll("thread '[^']*'", "thread").replaceAll("(?s)\\njava thread.*", "");
        String counts = error instanceof BatchUpdateException
                ? " counts " + Arrays.toString(((BatchUpdateException) error).getUpdateCounts()) : "";
        return "error " + error.getClass().getSimpleName() + " " + error.getErrorCode() + " " + error.getSQLState()
                + " " + message + counts;
    }

    static void columns(ResultSetMetaData meta) throws SQLException {
        for (int i = 1; i <= meta.getColumnCount(); i++) {
            String origin = meta.getCatalogName(i) + "." + meta.getTableName(i) + ".";
            line("column", origin + escape(meta.getColumnName(i)), "label", escape(meta.getColumnLabel(i)),
                    meta.getColumnType(i), meta.getColumnTypeName(i), meta.getColumnClassName(i), "precision",
                    meta.getPrecision(i), "scale", meta.getScale(i), "width", meta.getColumnDisplaySize(i),
                    "nullable", meta.isNullable(i), "signed", meta.isSigned(i), "auto", meta.isAutoIncrement(i),
                    "case", meta.isCaseSensitive(i), "read only", meta.isReadOnly(i));
        }
    }

    private static String cell(ResultSet rows, int column) {
        try {
            return value(rows.getObject(column));
        } catch (SQLException | RuntimeException error) {
            return "(" + failure(error) + ")";
        }
    }

    private static String bytesOf(ResultSet rows, int column) {
        try {
            byte[] bytes = rows.getBytes(column);
            return bytes == null ? "-" : bytes.length > SHOWN ? hash(bytes) : HexFormat.of().formatHex(bytes);
        } catch (SQLException | RuntimeException error) {
            return "(" + failure(error) + ")";
        }
    }

    static int rows(ResultSet rows) throws SQLException {
        int columns = rows.getMetaData().getColumnCount();
        int count = 0;
        while (rows.next()) {
            StringBuilder line = new StringBuilder("row");
            for (int i = 1; i <= columns; i++) {
                line.append(" ").append(cell(rows, i)).append("/").append(bytesOf(rows, i));
            }
            line(line);
            count++;
        }
        return count;
    }

    /** Rows without the metadata, for lists that the driver asks for. */
    static void values(ResultSet rows) throws SQLException {
        int columns = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            StringBuilder line = new StringBuilder("row");
            for (int i = 1; i <= columns; i++) {
                line.append(" ").append(cell(rows, i));
            }
            line(line);
        }
    }

    static void warnings(Statement statement) throws SQLException {
        for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
            line("warning", warning.getErrorCode(), warning.getSQLState(), warning.getMessage());
        }
    }

    static void keys(Statement statement) throws SQLException {
        try (ResultSet keys = statement.getGeneratedKeys()) {
            StringBuilder line = new StringBuilder("keys");
            while (keys.next()) {
                line.append(" ").append(keys.getLong(1));
            }
            line(line);
        }
    }

    /** Every result of what was executed. */
    static void results(Statement statement, boolean hasRows) throws SQLException {
        boolean isRows = hasRows;
        while (true) {
            if (isRows) {
                try (ResultSet rows = statement.getResultSet()) {
                    columns(rows.getMetaData());
                    line("rows", rows(rows));
                }
            } else if (statement.getLargeUpdateCount() == -1) {
                break;
            } else {
                line("ok affected", statement.getLargeUpdateCount());
            }
            isRows = statement.getMoreResults();
        }
        warnings(statement);
    }

    interface Action {
        void run() throws Exception;
    }

    /** Runs and prints the failure, if it is one. */
    static void trying(Action action) {
        try {
            action.run();
        } catch (Exception error) {
            line(failure(error));
        }
    }

    /** One statement over the text protocol. */
    static void run(Connection connection, String text) {
        trying(() -> {
            try (Statement statement = connection.createStatement()) {
                results(statement, statement.execute(text));
            }
        });
    }
}
