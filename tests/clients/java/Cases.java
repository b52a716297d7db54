// SPDX-License-Identifier: Apache-2.0
import java.sql.Connection;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The cases of the client tests for MariaDB Connector/J. Usage: Cases HOST PORT USER [CASE ...]
 *
 * <p>Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
 */
public final class Cases {
    interface Case {
        void run(Target target, Connection connection) throws Exception;
    }

    private Cases() {}

    private static Map<String, Case> all() {
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.put("text", Statements::text);
        cases.put("prepared", Statements::prepared);
        cases.put("types", Values::types);
        cases.put("parameters", Values::parameters);
        cases.put("long-data", Values::longData);
        cases.put("unbuffered", Results::unbuffered);
        cases.put("blobs", Values::blobs);
        cases.put("multi", Statements::multi);
        cases.put("errors", Statements::errors);
        cases.put("transactions", Sessions::transactions);
        cases.put("commands", Sessions::commands);
        cases.put("session-track", Sessions::sessionTrack);
        cases.put("local-infile", Results::localInfile);
        cases.put("local-infile-off", Results::localInfileOff);
        cases.put("bulk", Batches::bulk);
        cases.put("pipelining", Batches::pipelining);
        cases.put("big-statement", Results::bigStatement);
        cases.put("big-result", Results::bigResult);
        cases.put("compression", Results::compression);
        cases.put("reset-connection", Sessions::resetConnection);
        cases.put("pool", Sessions::pool);
        cases.put("kill", Sessions::kill);
        cases.put("warnings", Statements::warnings);
        cases.put("charsets", Statements::charsets);
        cases.put("info", Statements::info);
        return cases;
    }

    public static void main(String[] arguments) throws Exception {
        Target target = new Target(arguments[0], Integer.parseInt(arguments[1]), arguments[2]);
        List<String> wanted = Arrays.asList(arguments).subList(3, arguments.length);
        for (Map.Entry<String, Case> each : all().entrySet()) {
            if (!wanted.isEmpty() && !wanted.contains(each.getKey())) {
                continue;
            }
            Show.line("==", each.getKey());
            try (Connection connection = target.connect()) {
                each.getValue().run(target, connection);
            }
        }
        // The driver's own threads do not end by themselves.
        System.exit(0);
    }
}
