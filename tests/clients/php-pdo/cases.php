<?php
// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for PHP's PDO (with mysqlnd). Usage: php cases.php HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
//
// Left out, because PDO has none of it: long-data and server-side cursors (a LOB is sent as a value, rows are streamed), session-track,
// bulk as one command (`bulk` executes one statement many times), pipelining, zstd, attributes, change-user, reset-connection.
declare(strict_types=1);
require __DIR__ . '/../php/common.php';

function connect(array $options = [], string $charset = 'utf8mb4', string $schema = 'shop'): PDO
{
    [$host, $port, $user, $socket, $tls] = where();
    $options += [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_EMULATE_PREPARES => false,
        PDO::MYSQL_ATTR_MULTI_STATEMENTS => true,
        PDO::MYSQL_ATTR_LOCAL_INFILE => false,
    ];
    if ($tls !== null) {
        $options += [
            PDO::MYSQL_ATTR_SSL_CERT => $tls[0],
            PDO::MYSQL_ATTR_SSL_KEY => $tls[1],
            PDO::MYSQL_ATTR_SSL_CA => $tls[2],
            PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true,
        ];
    }
    $where = $socket === null ? "host=$host;port=$port" : "unix_socket=$socket";
    return new PDO("mysql:$where;dbname=$schema;charset=$charset", $user, '', $options);
}

function emulated(array $options = [], string $charset = 'utf8mb4'): PDO
{
    return connect($options + [PDO::ATTR_EMULATE_PREPARES => true], $charset);
}

function fail(PDOException $error): void
{
    [$state, $code] = $error->errorInfo ?? ['-', '-'];
    say('error', (string) $state, (string) $code, message($error));
}

function attempt(string $name, callable $call): void
{
    try {
        say($name, show($call()));
    } catch (PDOException $error) {
        fail($error);
    }
}

function print_results(PDO $pdo, PDOStatement $statement): void
{
    do {
        for ($i = 0; $i < $statement->columnCount(); $i++) {
            say('column', show($statement->getColumnMeta($i)));
        }
        if ($statement->columnCount() > 0) {
            while (($row = $statement->fetch(PDO::FETCH_NUM)) !== false) {
                say('row', show($row));
            }
        }
        say('ok affected', (string) $statement->rowCount(), 'insert id', show($pdo->lastInsertId()), $statement->errorCode());
    } while ($statement->nextRowset());
}

/** As text: nothing is prepared. */
function query(PDO $pdo, string $text): void
{
    try {
        print_results($pdo, $pdo->query($text));
    } catch (PDOException $error) {
        fail($error);
    }
}

function execute(PDO $pdo, string $text, array $values = []): void
{
    try {
        $statement = $pdo->prepare($text);
        foreach ($values as $at => $value) {
            $statement->bindValue(is_int($at) ? $at + 1 : $at, $value, type_of($value));
        }
        $statement->execute();
        print_results($pdo, $statement);
    } catch (PDOException $error) {
        fail($error);
    }
}

function type_of(mixed $value): int
{
    return match (true) {
        is_int($value) => PDO::PARAM_INT,
        is_bool($value) => PDO::PARAM_BOOL,
        is_null($value) => PDO::PARAM_NULL,
        is_resource($value) => PDO::PARAM_LOB,
        default => PDO::PARAM_STR,
    };
}

function queries(PDO $pdo, array $statements): void
{
    foreach ($statements as $statement) {
        query($pdo, $statement);
    }
}

/** Count and hash of rows that are read from the socket as they come. */
function stream(string $text, ?callable $pause = null): void
{
    $pdo = connect([PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false]);
    foreach (['query', 'prepare'] as $how) {
        $statement = $pdo->$how($text);
        if ($how === 'prepare') {
            $statement->execute();
        }
        $digest = hash_init('sha1');
        for ($rows = 0; ($row = $statement->fetch(PDO::FETCH_NUM)) !== false; $rows++) {
            hash_update($digest, implode(' ', $row));
            if ($pause !== null) {
                $pause($rows);
            }
        }
        say((string) $rows, 'rows', hash_final($digest));
    }
}

function memory(string $bytes): mixed
{
    $file = fopen('php://memory', 'w+b');
    fwrite($file, $bytes);
    rewind($file);
    return $file;
}

$cases = [
    'text' => function (PDO $pdo): void {
        queries($pdo, TEXT);
        attempt('exec', fn () => $pdo->exec('UPDATE items SET price = price'));
        say('quoted', show($pdo->quote("it's \\ \u{20ac}")));
        // Prepared in PHP, and sent as text.
        execute(emulated(), 'SELECT ? AS a, ? AS b, ? AS c', ["it's \"quoted\" \\ \u{20ac}", null, 12]);
    },
    'prepared' => function (PDO $pdo): void {
        execute($pdo, 'SELECT * FROM types ORDER BY id');
        $statement = $pdo->prepare('SELECT * FROM types WHERE id = :id');
        foreach ([1, 2, 3, 1, '2', 0] as $id) {
            $statement->execute(['id' => $id]);
            print_results($pdo, $statement);
        }
        foreach (['SELECT nothing FROM nowhere', 'SELECT 1; SELECT 2', 'CALL two_results()', 'CALL fails_midway()',
            'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n LIMIT 5'] as $text) {
            execute($pdo, $text);
        }
        attempt('too few', fn () => $pdo->prepare('SELECT ?, ?')->execute([1]));
        // Left in the middle, and used again.
        $statement = $pdo->prepare('SELECT n FROM numbers WHERE n < ? ORDER BY n');
        foreach ([100, 3] as $limit) {
            $statement->execute([$limit]);
            say('first', show($statement->fetchColumn()));
            $statement->closeCursor();
        }
        query($pdo, 'CREATE TEMPORARY TABLE passing (a INT)');
        $statement = $pdo->prepare('SELECT * FROM passing');
        query($pdo, 'ALTER TABLE passing MODIFY a VARCHAR(10)');
        query($pdo, "INSERT INTO passing VALUES ('now text')");
        attempt('after the change', fn () => $statement->execute() && print_results($pdo, $statement));
        query($pdo, 'DROP TEMPORARY TABLE passing');
        attempt('after the end', fn () => $statement->execute());
    },
    'types' => function (PDO $pdo): void {
        $columns = $pdo->query('SHOW COLUMNS FROM types')->fetchAll(PDO::FETCH_COLUMN);
        foreach ($columns as $column) {
            query($pdo, "SELECT $column FROM types ORDER BY id");
            execute($pdo, "SELECT $column FROM types ORDER BY id");
        }
        execute(connect([PDO::ATTR_STRINGIFY_FETCHES => true]), 'SELECT * FROM types ORDER BY id');
    },
    'parameters' => function (PDO $pdo): void {
        foreach ([$pdo, emulated()] as $either) {
            foreach (parameters() as $value) {
                execute($either, 'SELECT HEX(?) AS hex, ? IS NULL AS n', [$value, $value]);
            }
            execute($either, 'SELECT HEX(?) AS hex', [memory(all_bytes())]);
            execute($either, 'SELECT :b AS b, :a AS a', [':a' => 1, ':b' => 'two']);
        }
        execute($pdo, 'SELECT ' . implode(', ', array_fill(0, 1000, '?')), range(1, 1000));
        // Types that change between two executions.
        $statement = $pdo->prepare('SELECT ? AS value');
        foreach ([1, 'text', null, true, 1] as $value) {
            $statement->bindValue(1, $value, type_of($value));
            $statement->execute();
            print_results($pdo, $statement);
        }
        $national = $pdo->prepare('SELECT ? AS value');
        $national->bindValue(1, "m\u{fc}ll", PDO::PARAM_STR | PDO::PARAM_STR_NATL);
        $national->execute();
        print_results($pdo, $national);
    },
    'streaming' => function (PDO $pdo): void {
        stream("SELECT n, REPEAT('p', 5000) FROM numbers ORDER BY n", fn ($row) => $row === 100 ? usleep(500000) : null);
        $streaming = connect([PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false]);
        $statement = $streaming->query('SELECT n FROM numbers ORDER BY n');
        say('first', show($statement->fetchColumn()));
        attempt('another meanwhile', fn () => $streaming->query("SELECT 'meanwhile'"));
        // The rest is read and thrown away.
        $statement->closeCursor();
        query($streaming, "SELECT 'still here'");
    },
    'blobs' => function (PDO $pdo): void {
        $data = str_repeat(all_bytes(), 8);
        query($pdo, 'DELETE FROM scratch');
        execute($pdo, 'INSERT INTO scratch VALUES (1, NULL, ?)', [$data]);
        execute($pdo, 'INSERT INTO scratch VALUES (2, NULL, ?)', [memory($data)]);
        execute(emulated(), 'INSERT INTO scratch VALUES (3, NULL, ?)', [memory($data)]);
        foreach ($pdo->query('SELECT data FROM scratch ORDER BY id')->fetchAll(PDO::FETCH_COLUMN) as $back) {
            say('same bytes', show($back === $data));
        }
        query($pdo, 'SELECT id, data FROM blobs ORDER BY id');
        execute($pdo, 'SELECT id, data FROM blobs ORDER BY id');
        query($pdo, 'DELETE FROM scratch');
    },
    'multi' => function (PDO $pdo): void {
        queries($pdo, MULTI);
        $emulated = emulated();
        foreach (MULTI as $statement) {
            execute($emulated, $statement);
        }
        attempt('exec', fn () => $emulated->exec('DO 1; UPDATE items SET price = price; SELECT no_such_column'));
        query($emulated, "SELECT 'still here'");
    },
    'errors' => function (PDO $pdo): void {
        queries($pdo, ERRORS);
        foreach (ERRORS as $statement) {
            execute($pdo, $statement);
        }
        $silent = connect([PDO::ATTR_ERRMODE => PDO::ERRMODE_SILENT]);
        say('silent', show($silent->exec('SELECT')), show($silent->errorInfo()));
    },
    'transactions' => function (PDO $pdo): void {
        query($pdo, 'DELETE FROM scratch');
        $pdo->beginTransaction();
        query($pdo, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
        $pdo->commit();
        $pdo->beginTransaction();
        query($pdo, "INSERT INTO scratch VALUES (2, 'lost', NULL)");
        say('in a transaction', show($pdo->inTransaction()));
        $pdo->rollBack();
        // The status flags of the answer say so: a table that is made ends the transaction.
        $pdo->beginTransaction();
        query($pdo, 'CREATE TABLE passing (a INT)');
        say('in a transaction', show($pdo->inTransaction()));
        attempt('commit', fn () => $pdo->commit());
        query($pdo, 'DROP TABLE passing');
        $pdo->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
        query($pdo, "INSERT INTO scratch VALUES (3, 'lost', NULL)");
        query($pdo, 'ROLLBACK');
        $pdo->setAttribute(PDO::ATTR_AUTOCOMMIT, 1);
        query($pdo, 'SELECT id, name FROM scratch');
        query($pdo, 'DELETE FROM scratch');
        queries($pdo, AUTO_INCREMENT);
        // Rows that are found, and not those that are changed.
        queries(connect([PDO::MYSQL_ATTR_FOUND_ROWS => true]), AUTO_INCREMENT);
    },
    'commands' => function (PDO $pdo): void {
        say('statistics', show(str_starts_with($pdo->getAttribute(PDO::ATTR_SERVER_INFO), 'Uptime')));
        say('server', $pdo->getAttribute(PDO::ATTR_SERVER_VERSION));
        attempt('use', fn () => $pdo->exec('USE secret'));
        query($pdo, 'SELECT DATABASE()');
        attempt('wrong schema', fn () => connect([], 'utf8mb4', 'no_such_schema'));
        $set = connect([PDO::MYSQL_ATTR_INIT_COMMAND => "SET @init = 'done', sql_mode = 'NO_BACKSLASH_ESCAPES'"]);
        query($set, "SELECT @init, 'a\\', 'b'");
        $spaces = connect([PDO::MYSQL_ATTR_IGNORE_SPACE => true]);
        query($spaces, 'SELECT COUNT (*) FROM items');
        $kept = connect([PDO::ATTR_PERSISTENT => true]);
        query($kept, 'SET @kept = 1');
        unset($kept);
        query(connect([PDO::ATTR_PERSISTENT => true]), 'SELECT @kept');
        $one = connect([PDO::MYSQL_ATTR_MULTI_STATEMENTS => false]);
        query($one, 'SELECT 1; SELECT 2');
    },
    'local-infile' => function (PDO $pdo): void {
        $pdo = connect([PDO::MYSQL_ATTR_LOCAL_INFILE => true]);
        query($pdo, 'DELETE FROM scratch');
        with_files(function (string $name, string $column) use ($pdo): void {
            attempt('load', fn () => @$pdo->exec(load_data($name, $column)));
            queries($pdo, ['SHOW WARNINGS', LOADED, 'DELETE FROM scratch']);
            attempt('load', fn () => @$pdo->exec(load_data('rows.csv', 'no_such_column')));
        });
    },
    'local-infile-off' => function (PDO $pdo): void {
        attempt('load', fn () => @$pdo->exec(load_data('rows.csv', 'name')));
        query($pdo, "SELECT 'still here'");
    },
    'bulk' => function (PDO $pdo): void {
        foreach ([$pdo, emulated()] as $either) {
            query($either, 'DELETE FROM scratch');
            $statement = $either->prepare('INSERT INTO scratch (id, name) VALUES (?, ?)');
            $outcome = '';
            for ($n = 0; $n < 300; $n++) {
                try {
                    // Every tenth is there already.
                    $statement->execute([$n % 10 === 9 ? $n - 1 : $n, $n % 3 ? "name $n" : null]);
                    $outcome .= $statement->rowCount();
                } catch (PDOException $error) {
                    $outcome .= ' ' . $error->errorInfo[1] . ' ';
                }
            }
            say($outcome);
            query($either, 'SELECT COUNT(*), SUM(id), SUM(CRC32(name)) FROM scratch');
            query($either, 'DELETE FROM scratch');
        }
    },
    'big-statement' => function (PDO $pdo): void {
        $value = str_repeat('abcdefghijklmnopqrst', 2000000);
        query($pdo, "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '$value' AS s) t");
        execute($pdo, 'SELECT LENGTH(?), SHA2(?, 256)', [substr($value, 0, 20000000), 'short']);
        foreach (packet_sized() as $statement) {
            query($pdo, $statement);
        }
    },
    'big-result' => function (PDO $pdo): void {
        query($pdo, BIG_RESULT);
        execute($pdo, BIG_RESULT);
        stream(BIG_RESULT);
        query($pdo, 'SELECT a.n AS a, b.n AS b FROM numbers a, numbers b WHERE a.n <= 20 AND b.n <= 50 ORDER BY a.n, b.n');
    },
    'compression' => function (PDO $pdo): void {
        $pdo = connect([PDO::MYSQL_ATTR_COMPRESS => true]);
        query($pdo, "SHOW SESSION STATUS LIKE 'Compression'");
        foreach (['text', 'prepared', 'blobs', 'multi', 'errors'] as $name) {
            $GLOBALS['cases'][$name]($pdo);
        }
        $value = str_repeat('abcdefghijklmnopqrst', 1000000);
        query($pdo, "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '$value' AS s) t");
        query($pdo, "SELECT REPEAT('c', 20000000) AS v");
        // What cannot be compressed comes as it is.
        query($pdo, 'DELETE FROM scratch');
        execute($pdo, 'INSERT INTO scratch (id, data) VALUES (1, ?)', [noise(40000)]);
        say('same bytes', show($pdo->query('SELECT data FROM scratch')->fetchColumn() === noise(40000)));
        query($pdo, 'DELETE FROM scratch');
    },
    'kill' => function (PDO $pdo): void {
        // PDO waits for its answers, so another process kills: this very program, as a case of its own.
        $victim = $pdo->query('SELECT CONNECTION_ID()')->fetchColumn();
        $killer = proc_open(
            [PHP_BINARY, __FILE__, ...array_slice($_SERVER['argv'], 1, 3), '--kill', (string) $victim],
            [0 => ['file', '/dev/null', 'r'], 1 => ['file', '/dev/null', 'w']], $pipes);
        query($pdo, HEAVY);
        say('killer', (string) proc_close($killer));
        query($pdo, "SELECT 'still here'");
        $gone = connect();
        $number = $gone->query('SELECT CONNECTION_ID()')->fetchColumn();
        $pdo->exec("KILL $number");
        while ($pdo->query("SELECT 1 FROM information_schema.processlist WHERE id = $number")->fetch() !== false) {
            usleep(20000);
        }
        // The server may or may not get its last word out before it closes: only that it has is printed.
        try {
            @$gone->query('SELECT 1');
            say('the killed connection still answers');
        } catch (PDOException) {
            say('killed');
        }
    },
    'warnings' => function (PDO $pdo): void {
        queries($pdo, WARNINGS);
        execute($pdo, 'SELECT CAST(? AS SIGNED)', ['12x']);
        say('count', show($pdo->query('SHOW WARNINGS')->fetchAll(PDO::FETCH_NUM)));
    },
    'charsets' => function (PDO $pdo): void {
        foreach (CHARSETS as $name => [$encoding, $utf8]) {
            say('charset', $name);
            $text = iconv('UTF-8', $encoding, $utf8);
            foreach ([connect([], $name), emulated([], $name)] as $other) {
                query($other, 'SELECT @@character_set_client, @@character_set_connection, @@character_set_results');
                query($other, 'SELECT HEX(' . $other->quote($text) . ') AS hex');
                execute($other, 'SELECT HEX(?) AS hex, ? AS value, CHARSET(?) AS charset', [$text, $text, $text]);
                query($other, 'DELETE FROM scratch');
                execute($other, 'INSERT INTO scratch VALUES (1, ?, ?)', [$text, "\\'\x81\\\xe9"]);
                query($other, 'SELECT name, HEX(data) FROM scratch WHERE name = ' . $other->quote($text));
                query($pdo, 'SELECT name, HEX(data) FROM scratch');
                query($other, 'DELETE FROM scratch');
            }
        }
    },
];

if (($_SERVER['argv'][4] ?? '') === '--kill') {
    $pdo = connect();
    $victim = (int) $_SERVER['argv'][5];
    for ($i = 0; $i < 1000; $i++) {
        $running = $pdo->query(
            "SELECT 1 FROM information_schema.processlist WHERE id = $victim AND info LIKE '%to be killed%'");
        if ($running->fetch() !== false) {
            $pdo->exec("KILL QUERY $victim");
            exit(0);
        }
        usleep(20000);
    }
    exit(1);
}
main($cases, connect(...));
