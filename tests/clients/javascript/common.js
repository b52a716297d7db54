// SPDX-License-Identifier: Apache-2.0
// What the programs for mysql2 and mariadb have in common. `prepare` puts it beside each of them.
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const [host, port, user, ...names] = process.argv.slice(2);
export { user };

export const sha1 = (data) => crypto.createHash('sha1').update(data).digest('hex');
export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Where to connect to, in the options that both libraries have. */
export function where() {
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
export function showError(error) {
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

/** Characters whose second byte is a backslash in the character set, and quotes. */
export const CHARSETS = {
  latin1: "caf\u00e9 \u00dc\u00df\u20ac \\ ' \"",
  gbk: "\u904b\u4e2d\u6587\u8a95 \\ ' \"",
  sjis: "\u30bd\u8868\u80fd\u65e5\u672c \\ ' \"",
  big5: "\u529f\u8a31\u84cb \\ ' \"",
  utf8mb4: "\u20ac \u{1f6aa} \u30bd \\ ' \"",
};

/** What is bound as a parameter, one after the other. */
export const PARAMETERS = [
  0, -1, 1.5, -1.5e300, 5e-324, 2147483647, 2147483648, -2147483648, -2147483649, 2 ** 53, true, false, null,
  0n, -1n, 2n ** 31n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 2n ** 64n - 1n,
  '', 'text', "it's \"quoted\" \\ % ? \u20ac \u{1f6aa} \r\n\t\u001a", 'nul\0inside', 'x'.repeat(251), 'y'.repeat(65536),
  Buffer.alloc(0), Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.alloc(70000, 0xff),
  new Date('2024-02-29T12:34:56.789Z'), new Date('2024-02-29T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z'),
  { a: [1, null, 'it\'s'] },
];

export const HEAVY =
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
  // Fails when rows are already on their way.
  'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n LIMIT 5',
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
export const LOAD = (name, column) =>
  `LOAD DATA LOCAL INFILE '${name}' INTO TABLE scratch CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, ${column})`;
export const LOADED = 'SELECT id, name, LENGTH(data) AS length, SHA1(data) AS hash FROM scratch ORDER BY id';

/** Until the victim runs HEAVY, and not only prepares it; `rows` asks over another connection. */
export async function waitForHeavy(rows, victim) {
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
export function noise(blocks) {
  return Buffer.concat(
    Array.from({ length: blocks }, (_, n) => crypto.createHash('sha512').update(String(n)).digest()),
  );
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
