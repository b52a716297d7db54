<?php
// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for PHP's mysqli (with mysqlnd). Usage: php cases.php HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
//
// Left out, because mysqli has none of it: session-track, pipelining, bulk as one command (`bulk` executes one statement many
// times), zstd, attributes, reset-connection.
declare(strict_types=1);
require __DIR__ . '/../php/common.php';

function connect(int $flags = 0, array $options = [], string $schema = 'shop'): mysqli
{
    [$host, $port, $user, $socket, $tls] = where();
    $mysqli = mysqli_init();
    if ($tls !== null) {
        $mysqli->ssl_set($tls[1], $tls[0], $tls[2], null, null);
        $mysqli->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, 1);
        $flags |= MYSQLI_CLIENT_SSL;
    }
    foreach ($options as $option => $value) {
        $mysqli->options($option, $value);
    }
    $mysqli->real_connect($host, $user, '', $schema, $port, $socket, $flags);
    $mysqli->set_charset('utf8mb4');
    return $mysqli;
}

function fail(mysqli_sql_exception $error): void
{
    say('error', (string) $error->getCode(), $error->getSqlState(), message($error));
}

function attempt(string $name, callable $call): void
{
    try {
        say($name, show($call()));
    } catch (mysqli_sql_exception $error) {
        fail($error);
    }
}

function print_fields(mysqli_result $result): void
{
    foreach ($result->fetch_fields() as $field) {
        say("column $field->catalog $field->db.$field->table.$field->name of $field->orgtable.$field->orgname type $field->type"
            . " charset $field->charsetnr length $field->length flags $field->flags decimals $field->decimals"
            . " max $field->max_length");
    }
}

function print_result(mysqli $mysqli, mysqli_result|bool $result): void
{
    if ($result instanceof mysqli_result) {
        print_fields($result);
        while (($row = $result->fetch_assoc()) !== null) {
            say('row', show($row));
        }
        $result->free();
    }
    say('ok affected', show($mysqli->affected_rows), 'insert id', show($mysqli->insert_id),
        "fields $mysqli->field_count warnings $mysqli->warning_count sqlstate $mysqli->sqlstate", 'info', show($mysqli->info));
}

/** Every result of one call, stored or read row by row. */
function query(mysqli $mysqli, string $statement, bool $store = true): void
{
    try {
        $mysqli->multi_query($statement);
        do {
            print_result($mysqli, $store ? $mysqli->store_result() : $mysqli->use_result());
        } while ($mysqli->more_results() && $mysqli->next_result());
    } catch (mysqli_sql_exception $error) {
        fail($error);
    }
}

function print_statement(mysqli_stmt $statement): void
{
    $statement->execute();
    do {
        $result = $statement->get_result();
        if ($result !== false) {
            print_fields($result);
            foreach ($result->fetch_all(MYSQLI_NUM) as $row) {
                say('row', show($row));
            }
        }
        say('ok affected', show($statement->affected_rows), 'insert id', show($statement->insert_id),
            "fields $statement->field_count parameters $statement->param_count sqlstate $statement->sqlstate");
    } while ($statement->more_results() && $statement->next_result());
}

function execute(mysqli $mysqli, string $text, string $types = '', array $values = []): void
{
    try {
        $statement = $mysqli->prepare($text);
        if ($values !== []) {
            $statement->bind_param($types, ...$values);
        }
        print_statement($statement);
        $statement->close();
    } catch (mysqli_sql_exception $error) {
        fail($error);
    }
}

function queries(mysqli $mysqli, array $statements): void
{
    foreach ($statements as $statement) {
        query($mysqli, $statement);
    }
}

function type_of(mixed $value): string
{
    return is_int($value) || is_bool($value) ? 'i' : (is_float($value) ? 'd' : 's');
}

/** Count and hash of rows that are read from the socket as they come. */
function stream(mysqli $mysqli, string $statement, ?callable $pause = null): void
{
    $result = $mysqli->query($statement, MYSQLI_USE_RESULT);
    $digest = hash_init('sha1');
    for ($rows = 0; ($row = $result->fetch_row()) !== null; $rows++) {
        hash_update($digest, implode(' ', $row));
        if ($pause !== null) {
            $pause($rows);
        }
    }
    say((string) $rows, 'rows', hash_final($digest));
    $result->free();
}

function wait_for_heavy(mysqli $mysqli, int $victim): void
{
    for ($i = 0; $i < 1000; $i++) {
        $found = $mysqli->query(
            "SELECT 1 FROM information_schema.processlist WHERE id = $victim AND info LIKE '%to be killed%'");
        if ($found->num_rows === 1) {
            return;
        }
        usleep(20000);
    }
    throw new RuntimeException('the statement to be killed never ran');
}

$cases = [
    'text' => function (mysqli $mysqli): void {
        queries($mysqli, TEXT);
        foreach (TEXT as $statement) {
            query($mysqli, $statement, false);
        }
    },
    'prepared' => function (mysqli $mysqli): void {
        execute($mysqli, 'SELECT * FROM types ORDER BY id');
        $statement = $mysqli->prepare('SELECT * FROM types WHERE id = ?');
        $id = 0;
        $statement->bind_param('i', $id);
        for ($id = 1; $id <= 3; $id++) {
            print_statement($statement);
        }
        say('reset', show($statement->reset()));
        $id = 2;
        print_statement($statement);
        $statement->close();
        foreach (['SELECT nothing FROM nowhere', 'SELECT 1; SELECT 2', 'CALL two_results()', 'CALL fails_midway()',
            'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n LIMIT 5'] as $text) {
            execute($mysqli, $text);
        }
        // Fetched into variables, unbuffered and buffered, and left in the middle.
        foreach ([false, true] as $store) {
            $statement = $mysqli->prepare('SELECT n, REPEAT("r", n) FROM numbers WHERE n < ? ORDER BY n');
            $limit = 30;
            $statement->bind_param('i', $limit);
            $statement->execute();
            $statement->bind_result($n, $text);
            if ($store) {
                $statement->store_result();
                say('stored', (string) $statement->num_rows);
            }
            for ($i = 0; $i < 10 && $statement->fetch(); $i++) {
                say('fetched', show($n), show($text));
            }
            $statement->free_result();
            $limit = 3;
            print_statement($statement);
            $statement->close();
        }
        // A statement whose table changes under it: the server prepares it again by itself.
        query($mysqli, 'CREATE TEMPORARY TABLE passing (a INT)');
        $statement = $mysqli->prepare('SELECT * FROM passing');
        query($mysqli, "ALTER TABLE passing MODIFY a VARCHAR(10)");
        query($mysqli, "INSERT INTO passing VALUES ('now text')");
        attempt('after the change', fn () => print_statement($statement));
        query($mysqli, 'DROP TEMPORARY TABLE passing');
        attempt('after the end', fn () => print_statement($statement));
        // Many statements at once, used in another order than they were made in.
        $many = array_map(fn ($n) => $mysqli->prepare("SELECT $n + ?"), range(0, 49));
        foreach (array_reverse($many, true) as $n => $statement) {
            $statement->bind_param('i', $n);
            $statement->execute();
            say('sum', show($statement->get_result()->fetch_row()));
        }
    },
    'types' => function (mysqli $mysqli): void {
        $columns = array_column($mysqli->query('SHOW COLUMNS FROM types')->fetch_all(MYSQLI_ASSOC), 'Field');
        foreach ($columns as $column) {
            query($mysqli, "SELECT $column FROM types ORDER BY id");
            execute($mysqli, "SELECT $column FROM types ORDER BY id");
        }
        $native = connect(0, [MYSQLI_OPT_INT_AND_FLOAT_NATIVE => 1]);
        query($native, 'SELECT * FROM types ORDER BY id');
        foreach (['i' => [-1, PHP_INT_MAX], 'd' => [1.5, -0.0], 's' => ['s', "\0'"], 'b' => ['']] as $type => $values) {
            foreach ($values as $value) {
                execute($mysqli, 'SELECT ? AS value, HEX(?) AS hex', $type . $type, [$value, $value]);
            }
        }
    },
    'parameters' => function (mysqli $mysqli): void {
        foreach (parameters() as $value) {
            execute($mysqli, 'SELECT ? AS value, HEX(?) AS hex', type_of($value) . type_of($value), [$value, $value]);
            query($mysqli, is_string($value) ? "SELECT HEX('" . $mysqli->real_escape_string($value) . "') AS hex" : 'DO 0');
        }
        // As execute_query() binds: each as a string.
        foreach (parameters() as $value) {
            print_result($mysqli, $mysqli->execute_query('SELECT HEX(?) AS hex, ? IS NULL AS n', [$value, $value]));
        }
        $many = range(1, 1000);
        execute($mysqli, 'SELECT ' . implode(', ', array_fill(0, 1000, '?')), str_repeat('i', 1000), $many);
        // Types that change between two executions, and values of too few types.
        $statement = $mysqli->prepare('SELECT ? AS value');
        foreach ([['i', 1], ['s', 'text'], ['d', 1.5], ['s', null]] as [$type, $value]) {
            $statement->bind_param($type, $value);
            print_statement($statement);
            print_statement($statement);
        }
    },
    'long-data' => function (mysqli $mysqli): void {
        query($mysqli, 'DELETE FROM scratch');
        $statement = $mysqli->prepare('INSERT INTO scratch VALUES (?, ?, ?)');
        $null = null;
        $name = 'pieces';
        foreach ([[], [''], ['first ', 'second ', all_bytes()], array_fill(0, 9, str_repeat('p', 300001))] as $id => $parts) {
            $statement->bind_param('isb', $id, $name, $null);
            foreach ($parts as $part) {
                $statement->send_long_data(2, $part);
            }
            $statement->execute();
            say('affected', show($statement->affected_rows));
        }
        // Taken back before it is executed, and one whose execution fails.
        $id = 5;
        $statement->send_long_data(2, 'forgotten');
        $statement->reset();
        $statement->bind_param('isb', $id, $name, $null);
        $statement->send_long_data(2, 'kept');
        $statement->execute();
        $statement->send_long_data(2, 'a key that is there');
        attempt('again', fn () => $statement->execute());
        $statement->close();
        query($mysqli, LOADED);
        query($mysqli, 'DELETE FROM scratch');
    },
    'cursor' => function (mysqli $mysqli): void {
        // The library fetches one row at a time, asked to or not.
        foreach ([true, false] as $prefetch) {
            $statement = $mysqli->prepare("SELECT n, REPEAT('r', n) FROM numbers WHERE n <= ? ORDER BY n");
            $statement->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
            if ($prefetch) {
                $statement->attr_set(MYSQLI_STMT_ATTR_PREFETCH_ROWS, 1);
            }
            foreach ([50, 0, 3] as $limit) {
                $statement->bind_param('i', $limit);
                $statement->execute();
                $statement->bind_result($n, $text);
                $digest = hash_init('sha1');
                for ($rows = 0; $statement->fetch(); $rows++) {
                    hash_update($digest, "$n $text");
                }
                say('cursor', (string) $rows, hash_final($digest));
                $statement->free_result();
            }
            // Closed in the middle, with another statement between two fetches.
            $limit = 100;
            $statement->execute();
            $statement->bind_result($n, $text);
            $statement->fetch();
            say('first', show($n), show($text));
            query($mysqli, "SELECT 'between two fetches'");
            $statement->fetch();
            say('second', show($n), show($text));
            $statement->close();
        }
    },
    'blobs' => function (mysqli $mysqli): void {
        $data = str_repeat(all_bytes(), 8);
        query($mysqli, "SELECT LENGTH('" . $mysqli->real_escape_string($data) . "')");
        query($mysqli, 'DELETE FROM scratch');
        execute($mysqli, 'INSERT INTO scratch VALUES (1, NULL, ?)', 's', [$data]);
        query($mysqli, "INSERT INTO scratch VALUES (2, NULL, _binary'" . $mysqli->real_escape_string($data) . "')");
        foreach ($mysqli->query('SELECT data FROM scratch ORDER BY id') as $row) {
            say('same bytes', show($row['data'] === $data));
        }
        query($mysqli, 'SELECT id, data FROM blobs ORDER BY id');
        execute($mysqli, 'SELECT id, data FROM blobs ORDER BY id');
        query($mysqli, 'DELETE FROM scratch');
    },
    'multi' => function (mysqli $mysqli): void {
        foreach ([true, false] as $store) {
            foreach (MULTI as $statement) {
                query($mysqli, $statement, $store);
            }
        }
        attempt('one of several', fn () => $mysqli->query('SELECT 1; SELECT 2'));
        query($mysqli, "SELECT 'still here'");
    },
    'errors' => function (mysqli $mysqli): void {
        queries($mysqli, ERRORS);
        foreach (ERRORS as $statement) {
            query($mysqli, $statement, false);
        }
        say('list', show($mysqli->error_list));
    },
    'transactions' => function (mysqli $mysqli): void {
        query($mysqli, 'DELETE FROM scratch');
        $mysqli->begin_transaction(MYSQLI_TRANS_START_READ_WRITE | MYSQLI_TRANS_START_WITH_CONSISTENT_SNAPSHOT, 'named');
        query($mysqli, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
        $mysqli->savepoint('here');
        query($mysqli, "INSERT INTO scratch VALUES (2, 'lost', NULL)");
        query($mysqli, 'ROLLBACK TO SAVEPOINT here');
        attempt('release', fn () => $mysqli->release_savepoint('here'));
        attempt('release', fn () => $mysqli->release_savepoint('not_there'));
        $mysqli->commit();
        $mysqli->autocommit(false);
        query($mysqli, "INSERT INTO scratch VALUES (3, 'lost', NULL)");
        $mysqli->rollback();
        $mysqli->autocommit(true);
        query($mysqli, 'SELECT id, name FROM scratch');
        $mysqli->begin_transaction(MYSQLI_TRANS_START_READ_ONLY);
        query($mysqli, 'DELETE FROM scratch');
        $mysqli->commit(MYSQLI_TRANS_COR_AND_CHAIN);
        $mysqli->rollback(MYSQLI_TRANS_COR_AND_NO_CHAIN);
        query($mysqli, 'DELETE FROM scratch');
        queries($mysqli, AUTO_INCREMENT);
        // Rows that are found, and not those that are changed.
        queries(connect(MYSQLI_CLIENT_FOUND_ROWS), AUTO_INCREMENT);
    },
    'commands' => function (mysqli $mysqli): void {
        attempt('statistics', fn () => str_starts_with($mysqli->stat(), 'Uptime'));
        attempt('select', fn () => $mysqli->select_db('secret'));
        query($mysqli, 'SELECT DATABASE()');
        attempt('select', fn () => $mysqli->select_db('no_such_schema'));
        attempt('select', fn () => $mysqli->select_db('shop'));
        attempt('debug', fn () => $mysqli->dump_debug_info());
        attempt('kill', fn () => @$mysqli->kill(4294967295));
        attempt('refresh', fn () => @$mysqli->refresh(MYSQLI_REFRESH_STATUS));
        attempt('ping', fn () => @$mysqli->ping());
        say('server', $mysqli->server_info, (string) $mysqli->server_version, (string) $mysqli->protocol_version);
        say('character set', $mysqli->character_set_name(), show(array_diff_key((array) $mysqli->get_charset(), ['dir' => 1])));
        $other = connect(MYSQLI_CLIENT_IGNORE_SPACE, [MYSQLI_INIT_COMMAND => "SET @init = 'done'"]);
        query($other, 'SELECT @init, COUNT (*) FROM items');
        attempt('wrong schema', fn () => connect(0, [], 'no_such_schema'));
        query(connect(0, [], ''), 'SELECT DATABASE()');
    },
    'local-infile' => function (mysqli $mysqli): void {
        $mysqli = connect(0, [MYSQLI_OPT_LOCAL_INFILE => 1]);
        query($mysqli, 'DELETE FROM scratch');
        with_files(function (string $name, string $column) use ($mysqli): void {
            // The library warns of a file that it cannot open.
            @query($mysqli, load_data($name, $column));
            queries($mysqli, ['SHOW WARNINGS', LOADED, 'DELETE FROM scratch']);
            query($mysqli, load_data('rows.csv', 'no_such_column'));
            query($mysqli, "SELECT 'before'; " . load_data('rows.csv', 'name') . "; SELECT 'behind'");
            query($mysqli, 'DELETE FROM scratch');
        });
    },
    'local-infile-off' => function (mysqli $mysqli): void {
        $mysqli = connect(0, [MYSQLI_OPT_LOCAL_INFILE => 0]);
        @query($mysqli, load_data('rows.csv', 'name'));
        query($mysqli, "SELECT 'still here'");
    },
    'bulk' => function (mysqli $mysqli): void {
        query($mysqli, 'DELETE FROM scratch');
        $statement = $mysqli->prepare('INSERT INTO scratch (id, name) VALUES (?, ?)');
        $outcome = '';
        for ($n = 0; $n < 300; $n++) {
            try {
                // Every tenth is there already.
                $statement->execute([$n % 10 === 9 ? $n - 1 : $n, $n % 3 ? "name $n" : null]);
                $outcome .= $statement->affected_rows;
            } catch (mysqli_sql_exception $error) {
                $outcome .= ' ' . $error->getCode() . ' ';
            }
        }
        say($outcome);
        query($mysqli, 'SELECT COUNT(*), SUM(id), SUM(CRC32(name)) FROM scratch');
        query($mysqli, 'DELETE FROM scratch');
    },
    'concurrent' => function (mysqli $mysqli): void {
        // Asynchronous statements on ten connections: this library has one at a time on each.
        $connections = [];
        for ($n = 0; $n < 10; $n++) {
            $connections[$n] = connect();
            $connections[$n]->query($n % 4 === 3 ? "SELECT no_such_$n" : "SELECT $n, REPEAT('x', 100000)", MYSQLI_ASYNC);
        }
        $answers = [];
        while (count($answers) < 10) {
            $read = $error = $reject = array_diff_key($connections, $answers);
            if (mysqli_poll($read, $error, $reject, 30) === 0) {
                throw new RuntimeException('no answer');
            }
            foreach ($read as $ready) {
                $n = array_search($ready, $connections, true);
                try {
                    $answers[$n] = show($ready->reap_async_query()->fetch_row());
                } catch (mysqli_sql_exception $failed) {
                    $answers[$n] = $failed->getMessage();
                }
            }
        }
        ksort($answers);
        array_map('say', $answers);
    },
    'big-statement' => function (mysqli $mysqli): void {
        $value = str_repeat('abcdefghijklmnopqrst', 2000000);
        query($mysqli, "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '$value' AS s) t");
        execute($mysqli, 'SELECT LENGTH(?), SHA2(?, 256)', 'ss', [substr($value, 0, 20000000), 'short']);
        foreach (packet_sized() as $statement) {
            query($mysqli, $statement);
        }
    },
    'big-result' => function (mysqli $mysqli): void {
        query($mysqli, BIG_RESULT);
        query($mysqli, BIG_RESULT, false);
        execute($mysqli, BIG_RESULT);
        stream($mysqli, "SELECT n, REPEAT('p', 20000) FROM numbers", fn ($row) => $row === 100 ? usleep(1000000) : null);
        query($mysqli, 'SELECT a.n AS a, b.n AS b FROM numbers a, numbers b WHERE a.n <= 20 AND b.n <= 50 ORDER BY a.n, b.n');
    },
    'compression' => function (mysqli $mysqli): void {
        $mysqli = connect(MYSQLI_CLIENT_COMPRESS);
        query($mysqli, "SHOW SESSION STATUS LIKE 'Compression'");
        foreach (['text', 'prepared', 'blobs', 'long-data', 'cursor', 'multi', 'errors'] as $name) {
            $GLOBALS['cases'][$name]($mysqli);
        }
        $value = str_repeat('abcdefghijklmnopqrst', 1000000);
        query($mysqli, "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '$value' AS s) t");
        query($mysqli, "SELECT REPEAT('c', 20000000) AS v");
        // What cannot be compressed comes as it is.
        query($mysqli, 'DELETE FROM scratch');
        execute($mysqli, 'INSERT INTO scratch (id, data) VALUES (1, ?)', 's', [noise(40000)]);
        say('same bytes', show($mysqli->query('SELECT data FROM scratch')->fetch_row()[0] === noise(40000)));
        query($mysqli, 'DELETE FROM scratch');
    },
    'change-user' => function (mysqli $mysqli): void {
        $user = where()[2];
        query($mysqli, "SET @kept = 1, sql_mode = 'ANSI_QUOTES'");
        $statement = $mysqli->prepare('SELECT 1 + ?');
        foreach (['secret', 'shop'] as $schema) {
            attempt('change user', fn () => $mysqli->change_user($user, '', $schema));
            query($mysqli, "SELECT DATABASE(), @kept, @@sql_mode LIKE '%ANSI_QUOTES%', @@character_set_client");
            execute($mysqli, 'SELECT ? AS value', 's', ["m\u{fc}ll"]);
        }
        try {
            $statement->execute([1]);
        } catch (mysqli_sql_exception $error) {
            // Only the code: the message has the statement's number, and is Sallyport's own.
            say('the old statement', (string) $error->getCode());
        }
    },
    'kill' => function (mysqli $mysqli): void {
        $other = connect();
        $mysqli->query(HEAVY, MYSQLI_ASYNC);
        wait_for_heavy($other, $mysqli->thread_id);
        $other->query("KILL QUERY $mysqli->thread_id");
        attempt('killed', fn () => $mysqli->reap_async_query());
        query($mysqli, "SELECT 'still here'");
        // The server may or may not get its last word out before it closes: only what comes after it is printed.
        $victim = connect();
        $other->query("KILL $victim->thread_id");
        while ($other->query("SELECT 1 FROM information_schema.processlist WHERE id = $victim->thread_id")->num_rows > 0) {
            usleep(20000);
        }
        try {
            @$victim->query('SELECT 1');
            say('the killed connection still answers');
        } catch (mysqli_sql_exception) {
            say('killed');
        }
    },
    'warnings' => function (mysqli $mysqli): void {
        foreach (WARNINGS as $statement) {
            query($mysqli, $statement);
        }
        $mysqli->query("SELECT CAST('12x' AS SIGNED), CAST('y' AS SIGNED)");
        for ($warning = $mysqli->get_warnings(), $more = $warning !== false; $more; $more = $warning->next()) {
            say('warning', (string) $warning->errno, $warning->sqlstate, $warning->message);
        }
        $statement = $mysqli->prepare("SELECT CAST(? AS SIGNED)");
        $statement->execute(['12x']);
        $statement->get_result();
        $warning = $statement->get_warnings();
        say('of a statement', $warning === false ? 'none' : $warning->message);
    },
    'charsets' => function (mysqli $mysqli): void {
        foreach (CHARSETS as $name => [$encoding, $utf8]) {
            say('charset', $name);
            $other = connect(0, [MYSQLI_SET_CHARSET_NAME => $name]);
            $other->set_charset($name);
            $text = iconv('UTF-8', $encoding, $utf8);
            query($other, 'SELECT @@character_set_client, @@character_set_connection, @@character_set_results');
            query($other, "SELECT HEX('" . $other->real_escape_string($text) . "') AS hex");
            execute($other, 'SELECT HEX(?) AS hex, ? AS value, CHARSET(?) AS charset', 'sss', [$text, $text, $text]);
            query($other, 'DELETE FROM scratch');
            execute($other, 'INSERT INTO scratch VALUES (1, ?, ?)', 'ss', [$text, "\\'\x81\\\xe9"]);
            query($other, "SELECT name, HEX(data) FROM scratch WHERE name = '" . $other->real_escape_string($text) . "'");
            query($mysqli, 'SELECT name, HEX(data) FROM scratch');
            query($other, 'SELECT * FROM `no_such_' . iconv('UTF-8', $encoding, mb_substr_of($utf8)) . '`');
            query($other, 'DELETE FROM scratch');
        }
    },
];

/** The first three characters, without the mbstring extension. */
function mb_substr_of(string $utf8): string
{
    return implode('', array_slice(preg_split('//u', $utf8, -1, PREG_SPLIT_NO_EMPTY), 0, 3));
}

main($cases, connect(...));
