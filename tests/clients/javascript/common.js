// SPDX-License-Identifier: Apache-2.0
// What the programs for mysql2 and mariadb have in common. `prepare` puts it beside each of them.
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';

const [host, port, user, ...names] = process.argv.slice(2);
export { user };

const sha1 = (data) => crypto.createHash('sha1').update(data).digest('hex');
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Where to connect to and how values are to come, in the options that both libraries have. */
export function options() {
  const tls = process.env.CASES_TLS_CA && {
    ca: fs.readFileSync(process.env.CASES_TLS_CA),
    cert: fs.readFileSync(process.env.CASES_TLS_CERT),
    key: fs.readFileSync(process.env.CASES_TLS_KEY),
    rejectUnauthorized: true,
    verifyIdentity: true,
  };
  return {
    ...(host.startsWith('/') ? { socketPath: host } : { host, port: Number(port) }),
    ...(tls ? { ssl: tls } : {}),
    user,
    database: 'shop',
    charset: 'utf8mb4',
    multipleStatements: true,
    dateStrings: true,
    timezone: 'Z',
  };
}

/** A value with its type; long ones as length and hash. */
export function show(value) {
  if (Buffer.isBuffer(value)) {
    return value.length > 60 ? `<${value.length} bytes ${sha1(value)}>` : `x'${value.toString('hex')}'`;
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Date) return `Date(${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()})`;
  if (value instanceof Error) return showError(value);
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value).map(([key, item]) => `${key}: ${show(item)}`).join(', ')}}`;
  }
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 200 ? `<${text.length} characters ${sha1(text)}>` : text;
}

/** Without what the libraries add of their own (connection id, the statement, a stack). */
function showError(error) {
  // A library may answer a server that asks for a password with an empty one, and that is one for the message. Through
  // Sallyport no password of the client's reaches the server.
  if (error.errno === 1243) {
    // A statement that is gone: the message has its number, which differs, and is Sallyport's own, since what it does not know
    // cannot be recorded.
    return `error ${error.errno} ${error.code} ${error.sqlState}`;
  }
  const text = (error.sqlMessage ?? error.message)
    .replace(/\(conn:-?\d+, /, '(')
    .replace(/\(using password: (YES|NO)\)/, '(using password: -)');
  return `error ${error.errno} ${error.code} ${error.sqlState} ${text.length > 300 ? `${text.length} ${sha1(text)}` : text}`;
}

/**
 * The calls of one library, which print what came of them. Of the library's own there are
 *   connect(options)                  a connection, as a promise
 *   column(field)                     a column's definition as text
 *   readRows(connection, statement)   the rows of a statement as they come
 *   tidy(row)                         takes out of a row what differs between two runs
 */
export function callsOf({ connect, column, readRows, tidy = () => {} }) {
  const printResult = (result) => {
    // [rows, columns] of one result, or of several.
    const [rows, fields] = Array.isArray(result) ? result : [result, undefined];
    for (const field of (fields ?? []).flat()) if (field) console.log('column', column(field));
    for (const row of Array.isArray(rows) ? rows : [rows]) {
      tidy(row);
      console.log('result', show(row));
    }
  };
  const print = (promise) => promise.then(printResult, (error) => console.log(showError(error)));
  const query = (connection, ...call) => print(connection.query(...call));
  const execute = (connection, ...call) => print(connection.execute(...call));
  const inTurn = (call) => async (connection, statements) => {
    for (const statement of statements) await call(connection, statement);
  };
  return { connect, readRows, print, query, execute, queries: inTurn(query), executes: inTurn(execute) };
}

/** What came of a call that has no rows. */
export const attempt = (name, promise) =>
  promise.then(
    (result) => console.log(name, 'done', show(result)),
    (error) => console.log(name, showError(error)),
  );

/** A lost connection is reported to whoever waits for an answer; without a listener it would end the program too. */
export function mayBeLost(connection) {
  connection.on('error', () => {});
  return connection;
}

/** Pieces that come one after the other, as of a file that is still being written. */
export const pieces = (...parts) =>
  Readable.from(
    (async function* late() {
      for (const part of parts) {
        await sleep(20);
        yield part;
      }
    })(),
    { objectMode: false },
  );

/** Characters whose second byte is a backslash in the character set, and quotes. */
const CHARSETS = {
  latin1: "caf\u00e9 \u00dc\u00df\u20ac \\ ' \"",
  gbk: "\u904b\u4e2d\u6587\u8a95 \\ ' \"",
  sjis: "\u30bd\u8868\u80fd\u65e5\u672c \\ ' \"",
  big5: "\u529f\u8a31\u84cb \\ ' \"",
  utf8mb4: "\u20ac \u{1f6aa} \u30bd \\ ' \"",
};

/** What is bound as a parameter, one after the other. */
const PARAMETERS = [
  0, -1, 1.5, -1.5e300, 5e-324, 2147483647, 2147483648, -2147483648, -2147483649, 2 ** 53, true, false, null,
  0n, -1n, 2n ** 31n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 2n ** 64n - 1n,
  '', 'text', "it's \"quoted\" \\ % ? \u20ac \u{1f6aa} \r\n\t\u001a", 'nul\0inside', 'x'.repeat(251), 'y'.repeat(65536),
  Buffer.alloc(0), Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.alloc(70000, 0xff),
  new Date('2024-02-29T12:34:56.789Z'), new Date('2024-02-29T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z'),
  { a: [1, null, 'it\'s'] },
];

/** More parameters than fit in one byte, a third of them NULL. */
export const MANY = Array.from({ length: 1000 }, (_, i) => (i % 3 ? i : null));
/** Every byte there is, eight times. */
export const BYTES = Buffer.alloc(2048, Uint8Array.from({ length: 256 }, (_, i) => i));
export const letters = (times) => 'abcdefghijklmnopqrst'.repeat(times);

const HEAVY =
  'SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d';

/** Statements of the cases that are texts alone: both libraries run the same. */
export const TEXT = [
  "SELECT 1, NULL, 'text', '', 2.50, 1e3, TRUE, X'00FF'",
  'SELECT * FROM types ORDER BY id',
  'SELECT * FROM types WHERE id = 0',
  `SELECT ${Array.from({ length: 300 }, (_, n) => `${n} AS c${n}`).join(', ')}`,
  'SHOW CREATE TABLE types',
  'DO 1',
  '-- only a comment\n',
];
/** Fails when rows are already on their way. */
const FAILS_LATE = 'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n';
/** Prepared and executed. */
export const PREPARED = ['CALL two_results()', 'CALL fails_midway()', 'SELECT 1; SELECT 2', `${FAILS_LATE} LIMIT 5`];
export const MULTI = [
  'SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3',
  'SELECT 1; SELECT no_such_column; SELECT 3',
  'CALL two_results()',
  'CALL fails_midway()',
  'CALL add_one(41, @result); SELECT @result',
  'SELECT 1;',
  'DO 1; DO 2; DO 3',
  Array.from({ length: 100 }, (_, n) => `SELECT ${n} AS n`).join('; '),
];
export const ERRORS = [
  'SELECT',
  'SELECT * FROM no_such_table',
  "INSERT INTO items VALUES (1, 'again', 1)",
  "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'",
  "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'only a warning'",
  'SELECT n, (SELECT n FROM numbers) FROM numbers',
  `${FAILS_LATE} LIMIT 5`,
  'SELECT * FROM no_such_schema.t',
  "SELECT 'still here'",
];
export const WARNINGS = [
  "SELECT CAST('12x' AS SIGNED)",
  'SHOW WARNINGS',
  "INSERT IGNORE INTO items VALUES (1, 'again', 1)",
  'SHOW WARNINGS',
  'DROP TABLE IF EXISTS no_such_table',
  'SHOW COUNT(*) WARNINGS',
  'SELECT no_such_column',
  'SHOW ERRORS',
  "SELECT CAST(n AS CHAR) + 'x' AS n FROM numbers WHERE n < 100",
  'SHOW WARNINGS LIMIT 3',
  'DO 1',
  'SHOW WARNINGS',
];
export const SESSION = [
  'USE secret',
  'USE shop',
  'SET NAMES latin1',
  'SET NAMES utf8mb4',
  'SET autocommit = 0',
  'SET autocommit = 1',
  "SET SESSION session_track_system_variables = '*'",
  "SET time_zone = '+03:00', sql_mode = 'ANSI_QUOTES'",
  'SET SESSION session_track_state_change = ON',
  'SET @changed = 1',
  "SET SESSION session_track_transaction_info = 'CHARACTERISTICS'",
  'START TRANSACTION READ ONLY',
  'SELECT COUNT(*) FROM items',
  'COMMIT',
  'CREATE TEMPORARY TABLE passing (a INT)',
  'INSERT INTO passing VALUES (1)',
  'DROP TEMPORARY TABLE passing',
  'USE secret; SET NAMES latin1; USE shop; SET NAMES utf8mb4',
];

/** Files for LOAD DATA LOCAL, in a folder that becomes the current one: names are the same in every run. */
export function writeFiles() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cases-'));
  process.chdir(folder);
  fs.writeFileSync('rows.csv', '1,one\n2,t\u00fc\u20ac\n3,\\N\nnot a number,four\n5\n6,six,too many\n');
  fs.writeFileSync('empty.csv', '');
  const big = fs.openSync('big.csv', 'w');
  for (let n = 0; n < 40; n += 1) fs.writeSync(big, `${n},${String.fromCharCode(65 + (n % 26)).repeat(500000)}\n`);
  fs.closeSync(big);
  return () => {
    process.chdir('/');
    fs.rmSync(folder, { recursive: true });
  };
}
const load = (name, column = 'name') =>
  `LOAD DATA LOCAL INFILE '${name}' INTO TABLE scratch CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, ${column})`;
export const LOADS = [
  load('rows.csv'), load('empty.csv'), load('missing.csv'), load('big.csv', 'data'), load('rows.csv', 'no_such_column'),
];
export const LOADED = 'SELECT id, name, LENGTH(data) AS length, SHA1(data) AS hash FROM scratch ORDER BY id';

/** Until the victim runs HEAVY, and not only prepares it; `rows` asks over another connection. */
async function waitForHeavy(rows, victim) {
  for (let i = 0; i < 1000; i += 1) {
    const found = await rows(
      `SELECT 1 FROM information_schema.processlist WHERE id = ${victim} AND info LIKE '%to be killed%'` +
        " AND command IN ('Query', 'Execute')",
    );
    if (found.length === 1) return;
    await sleep(20);
  }
  throw new Error('the statement to be killed never ran');
}

/** Bytes that cannot be compressed, the same in every run. */
function noise(blocks) {
  return Buffer.concat(
    Array.from({ length: blocks }, (_, n) => crypto.createHash('sha512').update(String(n)).digest()),
  );
}

// What follows are cases, or the part of a case that is the same for both libraries: `calls` is what callsOf() returned.

export async function executeAgain({ execute }, connection) {
  await execute(connection, 'SELECT * FROM types ORDER BY id');
  for (const id of [1, 2, 3, 1]) await execute(connection, 'SELECT * FROM types WHERE id = ?', [id]);
}

/** A statement whose table changes under it: the server prepares it again by itself. */
export async function executeAfterAlter({ query, execute }, connection) {
  await query(connection, 'CREATE TEMPORARY TABLE passing (a INT)');
  await execute(connection, 'SELECT * FROM passing');
  await query(connection, "ALTER TABLE passing ADD b VARCHAR(10) DEFAULT 'new'");
  await execute(connection, 'INSERT INTO passing (a) VALUES (?)', [1]);
  await execute(connection, 'SELECT * FROM passing');
  await query(connection, 'DROP TEMPORARY TABLE passing');
  await execute(connection, 'SELECT * FROM passing');
}

/** More statements than a small cache keeps: the oldest are closed while others run. */
export async function overflowCache({ execute }, small) {
  for (let i = 0; i < 25; i += 1) await execute(small, `SELECT ${i % 7} + ? AS sum`, [i]);
  await Promise.all(Array.from({ length: 30 }, (_, i) => execute(small, `SELECT ${i % 5} * ? AS product`, [i])));
}

/** Every type by itself; then all of them with dates as objects and whatever else `otherwise` asks for; and as the bytes that came. */
export async function everyType({ connect, query, execute }, connection, otherwise) {
  const [columns] = await connection.query('SHOW COLUMNS FROM types');
  for (const call of [query, execute]) {
    for (const { Field } of columns) await call(connection, `SELECT ${Field} FROM types ORDER BY id`);
  }
  const other = await connect({ dateStrings: false, ...otherwise });
  await query(other, 'SELECT * FROM types ORDER BY id');
  await execute(other, 'SELECT * FROM types ORDER BY id');
  await other.end();
  await query(connection, {
    sql: 'SELECT * FROM types ORDER BY id',
    typeCast: (field) => `${field.type} ${sha1(field.buffer() ?? 'null')}`,
  });
}

export async function bindEach({ print, query, execute }, connection) {
  for (const value of PARAMETERS) {
    await execute(connection, 'SELECT ? AS value', [value]);
    await execute(connection, 'SELECT HEX(?) AS value', [value]);
    await query(connection, 'SELECT ? AS value', [value]);
  }
  // Another type at each execution of one statement.
  const statement = await connection.prepare('SELECT HEX(?) AS a, ? IS NULL AS b');
  for (const value of PARAMETERS) await print(statement.execute([value, value]));
  await statement.close();
}

export async function bindByName({ connect, execute }) {
  const named = await connect({ namedPlaceholders: true });
  await execute(named, 'SELECT :b AS b, :a AS a, :b AS c', { a: 1, b: 'two' });
  await named.end();
}

/** More than the buffers on the way hold. */
const ROWS_FOR_A_STREAM = "SELECT n, REPEAT('p', 20000) AS v FROM numbers ORDER BY n";

/** Hash and count of the rows of a stream; `pause` is called with each row's number. */
async function stream({ readRows }, connection, statement, pause = async () => {}) {
  const digest = crypto.createHash('sha1');
  let rows = 0;
  try {
    for await (const row of readRows(connection, statement)) {
      await pause(rows);
      digest.update(Object.values(row).join(' '));
      rows += 1;
    }
  } catch (error) {
    console.log(showError(error));
  }
  console.log(rows, 'rows', digest.digest('hex'));
}

/** The socket rests for a second, so that the server's output is held back on the way. */
export const streamWithRest = (calls, connection) =>
  stream(calls, connection, ROWS_FOR_A_STREAM, (row) => (row === 100 ? sleep(1000) : undefined));

export const streamThatFails = (calls, connection) => stream(calls, connection, FAILS_LATE);

/** Two at a time on two connections, one of them slow. */
export const streamBeside = (calls, other, connection) =>
  stream(calls, other, ROWS_FOR_A_STREAM, (row) => (row === 3 ? calls.query(connection, "SELECT 'beside the stream'") : undefined));

export async function leaveStream({ readRows }, connection) {
  for await (const row of readRows(connection, ROWS_FOR_A_STREAM)) {
    console.log('first of many', row.n);
    break;
  }
  connection.destroy();
}

/** What `text` makes of the rows of a statement, in each protocol. */
async function printRows(connection, statement, text) {
  for (const call of ['query', 'execute']) {
    const [rows] = await connection[call](statement);
    console.log(...text(rows));
  }
}

export async function blobs({ query, execute }, connection) {
  await query(connection, 'DELETE FROM scratch');
  await execute(connection, 'INSERT INTO scratch VALUES (1, NULL, ?)', [BYTES]);
  await query(connection, 'INSERT INTO scratch VALUES (2, NULL, ?)', [BYTES]);
  await printRows(connection, 'SELECT data FROM scratch ORDER BY id', (rows) => [
    'same bytes', rows.every((row) => row.data.equals(BYTES)), rows.length,
  ]);
  await query(connection, 'SELECT id, data FROM blobs ORDER BY id');
  await execute(connection, 'SELECT id, data FROM blobs ORDER BY id');
  await query(connection, 'DELETE FROM scratch');
}

/** One row is kept and one is not. */
export async function commitAndRollback({ query, execute }, connection) {
  await query(connection, 'DELETE FROM scratch');
  await connection.beginTransaction();
  await query(connection, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
  await connection.commit();
  await connection.beginTransaction();
  await execute(connection, 'INSERT INTO scratch VALUES (?, ?, NULL)', [2, 'lost']);
  await connection.rollback();
}

/** What commitAndRollback() left, and the numbers that come with changes: affected rows, insert ids. */
export async function changes({ query, execute }, connection) {
  await query(connection, 'SELECT id, name FROM scratch');
  await query(connection, 'DELETE FROM scratch');
  await query(connection, 'CREATE TEMPORARY TABLE passing (id INT PRIMARY KEY AUTO_INCREMENT, v INT)');
  await query(connection, 'INSERT INTO passing (v) VALUES (1), (2), (3)');
  await execute(connection, 'INSERT INTO passing VALUES (?, ?)', [1000000000, 4]);
  await execute(connection, 'INSERT INTO passing (v) VALUES (?)', [5]);
  await query(connection, 'UPDATE passing SET v = 2 WHERE v <= 2');
  await query(connection, 'REPLACE INTO passing VALUES (1, 7)');
  await query(connection, 'DROP TEMPORARY TABLE passing');
}

export async function connectWithoutSchema({ connect, query }, more) {
  await attempt('wrong schema', connect({ database: 'no_such_schema' }));
  const without = await connect({ database: undefined, ...more });
  await query(without, 'SELECT DATABASE()');
  await query(without, 'SELECT * FROM items');
  await without.end();
}

/** `loads` are LOADS, and more, in the form that the library wants; at the end a stream is loaded that is not a file. */
export async function loadFiles({ query, queries }, connection, loads) {
  const remove = writeFiles();
  await query(connection, 'DELETE FROM scratch');
  for (const statement of loads) {
    await query(connection, statement);
    await queries(connection, ['SHOW WARNINGS', LOADED, 'DELETE FROM scratch']);
  }
  await query(connection, { sql: load('no file at all'), infileStreamFactory: () => pieces('1,o', 'ne\n2,', 'two\n') });
  await queries(connection, [LOADED, 'DELETE FROM scratch']);
  remove();
}

/** On the pool's ten connections a hundred statements of all kinds run at once; `last` ends the one of two results. */
export async function sharePool(pool, last) {
  const answers = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) => {
      if (i % 10 === 7) return pool.query(`SELECT no_such_${i}`);
      if (i % 3 === 0) return pool.execute('SELECT ? AS i, REPEAT(?, ?) AS v', [i, 'p', i * 1000]);
      return pool.query(`SELECT ? AS i, REPEAT(?, ?) AS v; ${last}`, [i, 'q', i * 1000, i]);
    }),
  );
  for (const answer of answers) console.log(show(answer.status === 'fulfilled' ? answer.value[0] : answer.reason));
  await pool.end();
}

/** Statements whose commands have these sizes. */
export async function commandsOf({ query }, connection, sizes) {
  const [before, after] = ["SELECT LENGTH('", "') AS length"];
  for (const size of sizes) await query(connection, before + 'z'.repeat(size - 1 - before.length - after.length) + after);
}

export async function bigResult(calls, connection) {
  const statement =
    'SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) AS v FROM numbers WHERE n <= 8' +
    " UNION ALL SELECT 0, REPEAT('z', 34000000) UNION ALL SELECT 1, REPEAT('y', 16777209)";
  await stream(calls, connection, statement);
  await printRows(connection, statement, (rows) => [rows.length, 'rows', sha1(rows.map((row) => `${row.n} ${row.v}`).join())]);
  await calls.query(
    connection, 'SELECT a.n AS a, b.n AS b FROM numbers a, numbers b WHERE a.n <= 20 AND b.n <= 100 ORDER BY a.n, b.n',
  );
}

/** A connection with compression, over which the cases have run that are named. */
export async function repeatCompressed({ connect, query }, cases, repeated) {
  const connection = await connect({ compress: true });
  await query(connection, "SHOW SESSION STATUS LIKE 'Compression'");
  for (const name of repeated) await cases[name](connection);
  return connection;
}

/** Much that can be compressed; and what cannot be, which comes as it is. */
export async function compressMuch({ query, execute }, connection) {
  await query(connection, "SELECT REPEAT('c', 20000000) AS v");
  const incompressible = noise(40000);
  await query(connection, 'DELETE FROM scratch');
  await execute(connection, 'INSERT INTO scratch (id, data) VALUES (1, ?)', [incompressible]);
  const [rows] = await connection.query('SELECT data FROM scratch');
  console.log('same bytes', rows[0].data.equals(incompressible));
  await query(connection, 'DELETE FROM scratch');
}

/** The user stays, and what is left of the session shows that it has begun anew. */
export async function changeSchemas({ query, execute }, connection) {
  await query(connection, 'SET @kept = 1');
  await execute(connection, 'SELECT @kept + ? AS kept', [1]);
  for (const database of ['secret', 'shop']) {
    await attempt('change user', connection.changeUser({ user, database }));
    await query(connection, 'SELECT DATABASE(), @kept, @@character_set_client');
    await execute(connection, 'SELECT @kept + ? AS kept', [1]);
  }
}

/** Whatever a reset takes away; `leaveStatement` executes one that stays prepared. */
export async function resetSession({ query }, connection, leaveStatement) {
  await query(connection, "SET @kept = 1, time_zone = '+05:00'");
  await query(connection, 'CREATE TEMPORARY TABLE passing (a INT)');
  await leaveStatement();
  await attempt('reset', connection.reset());
  await query(connection, 'SELECT @kept, @@time_zone, DATABASE(), @@character_set_client');
  await query(connection, 'SELECT * FROM passing');
}

export async function resetTransaction({ query }, connection) {
  await connection.beginTransaction();
  await query(connection, "INSERT INTO scratch VALUES (1, 'lost', NULL)");
  await attempt('reset', connection.reset());
}

export async function kill({ connect, query, execute }, connection) {
  const other = await connect();
  const rows = async (statement) => (await other.query(statement))[0];
  for (const call of [query, execute]) {
    const killed = call(connection, HEAVY);
    await waitForHeavy(rows, connection.threadId);
    await other.query(`KILL QUERY ${connection.threadId}`);
    await killed;
    await query(connection, "SELECT 'still here'");
  }
  // The server may or may not get its last word out before it closes: only what comes after it is printed.
  const victim = await connect();
  await other.query(`KILL ${victim.threadId}`);
  while ((await rows(`SELECT 1 FROM information_schema.processlist WHERE id = ${victim.threadId}`)).length > 0) await sleep(20);
  await victim.query('SELECT 1').then(() => console.log('the killed connection still answers'), () => console.log('killed'));
  victim.destroy();
  await other.end();
}

/** `charsetOption` is what the library calls a character set by. */
export async function charsets(calls, connection, charsetOption = (name) => name) {
  for (const [name, text] of Object.entries(CHARSETS)) {
    console.log('charset', name);
    const other = await calls.connect({ charset: charsetOption(name) });
    await thereAndBack(calls, other, connection, text);
    await other.end();
  }
}

/** A text over a connection of its character set, and what `connection`, of another, reads of it. */
async function thereAndBack({ query, execute }, other, connection, text) {
  const withoutQuotes = text.slice(0, -6);
  await query(other, 'SELECT @@character_set_client, @@character_set_connection, @@character_set_results');
  await query(other, `SELECT HEX('${withoutQuotes}') AS hex, '${withoutQuotes}' AS value`);
  await query(other, 'SELECT HEX(?) AS hex, ? AS value', [text, text]);
  await execute(other, 'SELECT HEX(?) AS hex, ? AS value, CHARSET(?) AS charset', [text, text, text]);
  await query(other, 'DELETE FROM scratch');
  await execute(other, 'INSERT INTO scratch VALUES (1, ?, ?)', [text, Buffer.from([0x5c, 0x27, 0x81, 0x5c, 0xe9])]);
  await query(other, 'SELECT name, HEX(data) AS data FROM scratch WHERE name = ?', [text]);
  await execute(connection, 'SELECT name, HEX(data) AS data FROM scratch');
  await query(other, `SELECT * FROM \`no_such_${text.slice(0, 3)}\``);
  await query(other, 'DELETE FROM scratch');
}

/** Runs the chosen cases, on a connection each. */
export async function main(cases, connect) {
  for (const name of names.length > 0 ? names : Object.keys(cases)) {
    console.log('==', name);
    const connection = await connect();
    await cases[name](connection);
    try {
      await connection.end();
    } catch (error) {
      // Closed by the case.
      if (!error.fatal && !/closed/.test(error.message)) throw error;
    }
  }
}
