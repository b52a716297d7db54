<?php
// SPDX-License-Identifier: Apache-2.0
// What the programs for mysqli and PDO have in common.
declare(strict_types=1);

const HEAVY = 'SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d';

// Characters whose second byte is a backslash in the character set, and quotes; written in UTF-8.
const CHARSETS = [
    'latin1' => ['Windows-1252', "caf\u{e9} \u{dc}\u{df}\u{20ac} \\ ' \""],
    'gbk' => ['GBK', "\u{904b}\u{4e2d}\u{6587}\u{8a95} \\ ' \""],
    'sjis' => ['SHIFT_JIS', "\u{30bd}\u{8868}\u{80fd}\u{65e5}\u{672c} \\ ' \""],
    'big5' => ['BIG5', "\u{529f}\u{8a31}\u{84cb} \\ ' \""],
    'utf8mb4' => ['UTF-8', "\u{20ac} \u{1f6aa} \u{30bd} \\ ' \""],
];

const TEXT = [
    "SELECT 1, NULL, 'text', '', 2.50, 1e3, TRUE, X'00FF'",
    'SELECT * FROM types ORDER BY id',
    'SELECT * FROM types WHERE id = 0',
    'SHOW CREATE TABLE types',
    'DO 1',
    '-- only a comment' . "\n",
];
const MULTI = [
    'SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3',
    'SELECT 1; SELECT no_such_column; SELECT 3',
    'CALL two_results()',
    'CALL fails_midway()',
    'CALL add_one(41, @result); SELECT @result',
    'SELECT 1;',
    'DO 1; DO 2; DO 3',
];
const ERRORS = [
    'SELECT',
    'SELECT * FROM no_such_table',
    "INSERT INTO items VALUES (1, 'again', 1)",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u{fc}ll'",
    "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'only a warning'",
    'SELECT n, (SELECT n FROM numbers) FROM numbers',
    // Fails when rows are already on their way.
    'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n LIMIT 5',
    'SELECT * FROM no_such_schema.t',
    "SELECT 'still here'",
];
const WARNINGS = [
    "SELECT CAST('12x' AS SIGNED)", 'SHOW WARNINGS', "INSERT IGNORE INTO items VALUES (1, 'again', 1)", 'SHOW WARNINGS',
    'DROP TABLE IF EXISTS no_such_table', 'SHOW COUNT(*) WARNINGS', 'SELECT no_such_column', 'SHOW ERRORS',
    "SELECT CAST(n AS CHAR) + 'x' AS n FROM numbers WHERE n < 100", 'SHOW WARNINGS LIMIT 3', 'DO 1', 'SHOW WARNINGS',
];
const AUTO_INCREMENT = [
    'CREATE TEMPORARY TABLE passing (id INT PRIMARY KEY AUTO_INCREMENT, v INT)',
    'INSERT INTO passing (v) VALUES (1), (2), (3)',
    'INSERT INTO passing VALUES (1000000000, 4)',
    'INSERT INTO passing (v) VALUES (5)',
    'UPDATE passing SET v = 2 WHERE v <= 2',
    'REPLACE INTO passing VALUES (1, 7)',
    'DROP TEMPORARY TABLE passing',
];
const BIG_RESULT = 'SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) AS v FROM numbers WHERE n <= 8'
    . " UNION ALL SELECT 0, REPEAT('z', 34000000) UNION ALL SELECT 1, REPEAT('y', 16777209)";
const LOADED = 'SELECT id, name, LENGTH(data) AS length, SHA1(data) AS hash FROM scratch ORDER BY id';

/** What is bound as a parameter, one after the other. */
function parameters(): array
{
    return [
        0, -1, PHP_INT_MAX, PHP_INT_MIN, 4294967296, true, false, null, 0.1, -1.5e300, 5e-324, 1.0, '', 'text', '0',
        "it's \"quoted\" \\ % ? \u{20ac} \u{1f6aa} \r\n\t\x1a", "nul\0inside", str_repeat('x', 251), str_repeat('y', 65536),
        all_bytes(),
    ];
}

function all_bytes(): string
{
    return implode('', array_map('chr', range(0, 255)));
}

/** A value with its type; long ones as length and hash. */
function show(mixed $value): string
{
    if (is_array($value)) {
        $parts = [];
        foreach ($value as $key => $item) {
            $parts[] = "$key: " . show($item);
        }
        return '[' . implode(', ', $parts) . ']';
    }
    if (!is_string($value)) {
        return get_debug_type($value) . ' ' . var_export($value, true);
    }
    if (strlen($value) > 100) {
        return '<' . strlen($value) . ' bytes ' . sha1($value) . '>';
    }
    return "'" . preg_replace_callback('/[^ -~]|\\\\/', fn ($found) => sprintf('\\x%02x', ord($found[0])), $value) . "'";
}

/**
 * In full, since it may hold the account's name. Only whether a password was used is left out: to a server that asks for one the
 * library answers with an empty one, and that counts; through Sallyport no password of the client's reaches the server.
 */
function message(Exception $error): string
{
    return preg_replace('/using password: (YES|NO)/', 'using password: -', $error->getMessage());
}

function say(string ...$words): void
{
    echo implode(' ', $words), "\n";
}

/** Bytes that cannot be compressed, the same in every run. */
function noise(int $blocks): string
{
    $noise = '';
    for ($n = 0; $n < $blocks; $n++) {
        $noise .= hash('sha512', (string) $n, true);
    }
    return $noise;
}

/** Statements of a packet's size, one byte less and more. */
function packet_sized(): iterable
{
    [$before, $after] = ["SELECT LENGTH('", "') AS length"];
    foreach ([0xfffffe, 0xffffff, 0x1000000] as $size) {
        yield $before . str_repeat('z', $size - 1 - strlen($before . $after)) . $after;
    }
}

/** Runs $load(file, column) for files of all kinds, in a folder that is the current one: names are the same in every run. */
function with_files(callable $load): void
{
    $folder = sys_get_temp_dir() . '/cases-' . getmypid();
    mkdir($folder, 0700);
    chdir($folder);
    file_put_contents('rows.csv', "1,one\n2,t\u{fc}\u{20ac}\n3,\\N\nnot a number,four\n5\n6,six,too many\n");
    file_put_contents('empty.csv', '');
    $big = fopen('big.csv', 'wb');
    for ($n = 0; $n < 40; $n++) {
        fwrite($big, "$n," . str_repeat(chr(65 + $n % 26), 500000) . "\n");
    }
    fclose($big);
    foreach (['rows.csv' => 'name', 'empty.csv' => 'name', 'missing.csv' => 'name', 'big.csv' => 'data'] as $name => $column) {
        $load($name, $column);
    }
    array_map('unlink', ['rows.csv', 'empty.csv', 'big.csv']);
    chdir('/');
    rmdir($folder);
}

function load_data(string $name, string $column): string
{
    return "LOAD DATA LOCAL INFILE '$name' INTO TABLE scratch CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, $column)";
}

/** Where to connect to: [host, port, user, socket or null, [cert, key, ca] or null]. */
function where(): array
{
    [, $host, $port, $user] = $_SERVER['argv'];
    $tls = getenv('CASES_TLS_CA') === false ? null
        : array_map('getenv', ['CASES_TLS_CERT', 'CASES_TLS_KEY', 'CASES_TLS_CA']);
    return str_starts_with($host, '/') ? ['localhost', 0, $user, $host, $tls] : [$host, (int) $port, $user, null, $tls];
}

/** Runs the chosen cases; each gets a connection of its own. */
function main(array $cases, callable $connect): void
{
    foreach (array_slice($_SERVER['argv'], 4) ?: array_keys($cases) as $name) {
        say('==', $name);
        $cases[$name]($connect());
    }
}
