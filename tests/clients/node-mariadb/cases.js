// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for MariaDB's connector for Node. Usage: node cases.js HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
//
// Left out, because the connector has none of it: server-side cursors (`streaming` is its own), zstd, attributes. It tells of the
// session's changes only the schema and the character set, so `session-track` prints those.
import crypto from 'node:crypto';
import fs from 'node:fs';
import { Readable } from 'node:stream';
import mariadb from 'mariadb';
import * as common from './common.js';

const { show, sha1, sleep } = common;

const options = (more) => ({
  ...common.where(),
  dateStrings: true,
  timezone: 'Z',
  metaAsArray: true,
  connectTimeout: 20000,
  ...more,
});

async function connect(more) {
  const connection = await mariadb.createConnection(options(more));
  // Without a listener a lost connection would end the program.
  connection.on('error', () => {});
  return connection;
}

const column = (field) =>
  `${field.schema()}.${field.table()}.${field.name()} of ${field.orgTable()}.${field.orgName()} type ${field.columnType}` +
  ` charset ${field.collation?.index} length ${field.columnLength} flags ${field.flags} scale ${field.scale}` +
  ` ${field.dataTypeName ?? ''} ${field.dataTypeFormat ?? ''}`;

function printResult(result) {
  // [rows, columns] of one result, or of several.
  const [rows, fields] = Array.isArray(result) ? result : [result, undefined];
  for (const field of (fields ?? []).flat()) if (field) console.log('column', column(field));
  for (const row of Array.isArray(rows) ? rows : [rows]) console.log('result', show(row));
}

const print = (promise) => promise.then(printResult, (error) => console.log(common.showError(error)));
const query = (connection, ...call) => print(connection.query(...call));
const execute = (connection, ...call) => print(connection.execute(...call));
const queries = async (connection, statements) => {
  for (const statement of statements) await query(connection, statement);
};
const attempt = (name, promise) =>
  promise.then(
    (result) => console.log(name, 'done', show(result)),
    (error) => console.log(name, common.showError(error)),
  );

/** Hash and count of the rows of a stream; `pause` is called with each row's number. */
async function stream(connection, statement, pause = async () => {}) {
  const digest = crypto.createHash('sha1');
  let rows = 0;
  try {
    for await (const row of connection.queryStream(statement)) {
      await pause(rows);
      digest.update(Object.values(row).join(' '));
      rows += 1;
    }
  } catch (error) {
    console.log(common.showError(error));
  }
  console.log(rows, 'rows', digest.digest('hex'));
}

/** Pieces that come one after the other, as of a file that is still being written. */
const pieces = (...parts) =>
  Readable.from(
    (async function* late() {
      for (const part of parts) {
        await sleep(20);
        yield part;
      }
    })(),
    { objectMode: false },
  );

const cases = {
  async text(connection) {
    await queries(connection, common.TEXT);
    await query(connection, 'SELECT ? AS a, ? AS b', ["it's \"quoted\" \u20ac", null]);
    await query(connection, { sql: 'SELECT 1 AS a, 2 AS b', rowsAsArray: true });
    await query(connection, { sql: 'SELECT * FROM items i JOIN items j USING (id)', nestTables: true });
  },
  async prepared(connection) {
    await execute(connection, 'SELECT * FROM types ORDER BY id');
    for (const id of [1, 2, 3, 1]) await execute(connection, 'SELECT * FROM types WHERE id = ?', [id]);
    await execute(connection, 'SELECT nothing FROM nowhere');
    await execute(connection, 'SELECT nothing FROM nowhere WHERE id = ?', [1]);
    await execute(connection, 'CALL two_results()');
    await execute(connection, 'CALL fails_midway()');
    await execute(connection, 'SELECT 1; SELECT 2');
    await execute(connection, 'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n LIMIT 5');
    const statement = await connection.prepare('SELECT ? AS a, ? AS b');
    console.log('parameters', statement.parameterCount, 'columns', statement.columns.length);
    await print(statement.execute([1, 'one']));
    await print(statement.execute(['now a text', null]));
    await print(statement.execute(['too few']));
    const digest = crypto.createHash('sha1');
    for await (const row of statement.executeStream(['streamed', 2n])) digest.update(show(row));
    console.log('streamed', digest.digest('hex'));
    statement.close();
    await attempt('execute the closed', statement.execute([1, 2]));
    // A statement whose table changes under it: the server prepares it again by itself.
    await query(connection, 'CREATE TEMPORARY TABLE passing (a INT)');
    await execute(connection, 'SELECT * FROM passing');
    await query(connection, "ALTER TABLE passing ADD b VARCHAR(10) DEFAULT 'new'");
    await execute(connection, 'INSERT INTO passing (a) VALUES (?)', [1]);
    await execute(connection, 'SELECT * FROM passing');
    await query(connection, 'DROP TEMPORARY TABLE passing');
    await execute(connection, 'SELECT * FROM passing');
    // Prepared and executed in one breath, many at a time, with failing ones between: the statement has no number yet.
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        execute(connection, i % 5 === 4 ? `SELECT no_such_${i} + ?` : `SELECT ${i} + ? AS sum`, [i]),
      ),
    );
    // A cache of three statements, and none at all.
    for (const prepareCacheLength of [3, 0]) {
      const small = await connect({ prepareCacheLength });
      for (let i = 0; i < 25; i += 1) await execute(small, `SELECT ${i % 7} + ? AS sum`, [i]);
      await Promise.all(Array.from({ length: 30 }, (_, i) => execute(small, `SELECT ${i % 5} * ? AS product`, [i])));
      await small.end();
    }
    const one = await connect({ pipelining: false });
    await Promise.all(Array.from({ length: 10 }, (_, i) => execute(one, `SELECT ${i} + ? AS sum`, [i])));
    await one.end();
  },
  async types(connection) {
    const [columns] = await connection.query('SHOW COLUMNS FROM types');
    for (const call of [query, execute]) {
      for (const { Field } of columns) await call(connection, `SELECT ${Field} FROM types ORDER BY id`);
    }
    const others = await connect({
      dateStrings: false, bitOneIsBoolean: false, insertIdAsNumber: true, bigIntAsNumber: true, decimalAsNumber: true,
    });
    await query(others, 'SELECT * FROM types ORDER BY id');
    await execute(others, 'SELECT * FROM types ORDER BY id');
    await others.end();
    await query(connection, {
      sql: 'SELECT * FROM types ORDER BY id',
      typeCast: (field) => `${field.type} ${sha1(field.buffer() ?? 'null')}`,
    });
    for (const type of ['Point', 'LineString', 'MultiPoint']) {
      const coordinates = type === 'Point' ? [1, -2] : [[1, -2], [3, 4.5]];
      await execute(connection, 'SELECT ST_AsText(?) AS value', [{ type, coordinates }]);
    }
  },
  async parameters(connection) {
    for (const value of common.PARAMETERS) {
      await execute(connection, 'SELECT ? AS value', [value]);
      await execute(connection, 'SELECT HEX(?) AS value', [value]);
      await query(connection, 'SELECT ? AS value', [value]);
    }
    const statement = await connection.prepare('SELECT HEX(?) AS a, ? IS NULL AS b');
    for (const value of common.PARAMETERS) await print(statement.execute([value, value]));
    statement.close();
    const many = Array.from({ length: 1000 }, (_, i) => (i % 3 ? i : null));
    await execute(connection, `SELECT ${many.map((_, i) => `? AS c${i}`).join(', ')}`, many);
    const named = await connect({ namedPlaceholders: true });
    await execute(named, 'SELECT :b AS b, :a AS a, :b AS c', { a: 1, b: 'two' });
    await named.end();
  },
  async 'long-data'(connection) {
    // A stream as a value is sent as the server's long data, piece by piece.
    await query(connection, 'DELETE FROM scratch');
    const statement = await connection.prepare('INSERT INTO scratch VALUES (?, ?, ?)');
    await print(statement.execute([1, 'pieces', pieces('first ', 'second ', Buffer.from([0, 255, 39, 92]))]));
    await print(statement.execute([2, 'none', pieces()]));
    await print(statement.execute([3, 'large', pieces(...Array.from({ length: 40 }, (_, i) => Buffer.alloc(100000, 65 + i)))]));
    await print(statement.execute([3, 'a key that is there', pieces('x')]));
    await print(statement.execute([4, 'a value as usual', Buffer.from('plain')]));
    await print(statement.execute([5, pieces('a na', 'me'), pieces('and data')]));
    statement.close();
    await execute(connection, 'INSERT INTO scratch VALUES (?, ?, ?)', [6, null, pieces('at once')]);
    await query(connection, common.LOADED);
    // In the text protocol the same value becomes part of the statement.
    await query(connection, 'INSERT INTO scratch VALUES (?, ?, ?)', [7, null, pieces("it's ", 'text')]);
    await query(connection, 'SELECT id, name, data FROM scratch WHERE id > 4 ORDER BY id');
    await query(connection, 'DELETE FROM scratch');
  },
  async streaming(connection) {
    // Rows that are taken from the socket as they are wanted.
    const statement = "SELECT n, REPEAT('p', 20000) AS v FROM numbers ORDER BY n";
    // The socket rests for a second, so that the server's output is held back on the way, and another is sent behind it.
    const streaming = stream(connection, statement, (row) => (row === 100 ? sleep(1000) : undefined));
    // Its answer is printed when the stream is done: which of the two the connector gives first is its own affair.
    const behind = connection.query("SELECT 'sent behind the stream' AS text");
    await streaming;
    console.log(show((await behind)[0]));
    await stream(connection, 'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n');
    const other = await connect();
    await stream(other, statement, (row) => (row === 3 ? query(connection, "SELECT 'beside the stream'") : undefined));
    // Left in the middle: the rest is read and thrown away.
    for await (const row of other.queryStream(statement)) {
      console.log('first of many', row.n);
      break;
    }
    other.destroy();
    await query(connection, "SELECT 'still here'");
  },
  async blobs(connection) {
    const data = Buffer.alloc(2048, Uint8Array.from({ length: 256 }, (_, i) => i));
    await query(connection, 'SELECT LENGTH(?) AS length, HEX(?) AS hex', [data, data.subarray(0, 256)]);
    await query(connection, 'DELETE FROM scratch');
    await execute(connection, 'INSERT INTO scratch VALUES (1, NULL, ?)', [data]);
    await query(connection, 'INSERT INTO scratch VALUES (2, NULL, ?)', [data]);
    for (const call of ['query', 'execute']) {
      const [rows] = await connection[call]('SELECT data FROM scratch ORDER BY id');
      console.log('same bytes', rows.every((row) => row.data.equals(data)), rows.length);
    }
    await query(connection, 'SELECT id, data FROM blobs ORDER BY id');
    await execute(connection, 'SELECT id, data FROM blobs ORDER BY id');
    await query(connection, 'DELETE FROM scratch');
  },
  multi: (connection) => queries(connection, common.MULTI),
  errors: (connection) => queries(connection, common.ERRORS),
  async transactions(connection) {
    await query(connection, 'DELETE FROM scratch');
    await connection.beginTransaction();
    await query(connection, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
    await connection.commit();
    await connection.beginTransaction();
    await execute(connection, 'INSERT INTO scratch VALUES (?, ?, NULL)', [2, 'lost']);
    await connection.rollback();
    // Not sent when there is nothing to roll back: the connector knows by the status of the last answer.
    await connection.rollback();
    await query(connection, 'SELECT id, name FROM scratch');
    await query(connection, 'DELETE FROM scratch');
    await query(connection, 'CREATE TEMPORARY TABLE passing (id INT PRIMARY KEY AUTO_INCREMENT, v INT)');
    await query(connection, 'INSERT INTO passing (v) VALUES (1), (2), (3)');
    await execute(connection, 'INSERT INTO passing VALUES (?, ?)', [1000000000, 4]);
    await execute(connection, 'INSERT INTO passing (v) VALUES (?)', [5]);
    await query(connection, 'UPDATE passing SET v = 2 WHERE v <= 2');
    await query(connection, 'REPLACE INTO passing VALUES (1, 7)');
    await query(connection, 'DROP TEMPORARY TABLE passing');
  },
  async commands(connection) {
    await attempt('ping', connection.ping());
    await attempt('ping with a limit', connection.ping(5000));
    console.log('valid', connection.isValid(), 'server', connection.serverVersion());
    await query(connection, 'USE no_such_schema');
    await attempt('wrong schema', connect({ database: 'no_such_schema' }));
    const without = await connect({ database: undefined, connectAttributes: { mine: 'yes' } });
    await query(without, 'SELECT DATABASE()');
    await query(without, 'SELECT * FROM items');
    await without.end();
    const set = await connect({ sessionVariables: { sql_mode: 'ANSI_QUOTES' }, initSql: ['SET @one = 1', 'SET @two = 2'] });
    await query(set, 'SELECT @@sql_mode, @one, @two');
    await set.end();
    if (connection.serverVersion().includes('MariaDB')) {
      const late = await connect({ queryTimeout: 200 });
      await query(late, 'SELECT SLEEP(5)');
      await query(late, "SELECT 'still here'");
      await late.end();
    } else {
      console.log('MySQL has no limit of the form that the connector knows');
    }
    // Statements of a file, sent one by one.
    const remove = common.writeFiles();
    fs.writeFileSync(
      'import.sql',
      "DELETE FROM scratch;\nINSERT INTO scratch VALUES (1, 'a;b', NULL); -- ;\n" +
        "/* ; */ UPDATE scratch SET name = 'c' WHERE id = 1;\n",
    );
    await attempt('import', connection.importFile({ file: 'import.sql', database: 'shop' }));
    await query(connection, 'SELECT id, name FROM scratch');
    fs.writeFileSync('import.sql', 'DELETE FROM scratch;\nINSERT INTO no_such_table VALUES (1);\nSELECT 1;');
    await attempt('import', connection.importFile({ file: 'import.sql', database: 'shop' }));
    await query(connection, 'SELECT id, name FROM scratch');
    remove();
  },
  async 'session-track'(connection) {
    for (const statement of common.SESSION) {
      await query(connection, statement);
      console.log('schema', connection.info.database, 'character set', connection.info.collation.name);
    }
  },
  async 'local-infile'() {
    const connection = await connect({ permitLocalInfile: true });
    const remove = common.writeFiles();
    const load = async (name, into = 'name', more = '') => {
      await query(connection, common.LOAD(name, into) + more);
      await queries(connection, ['SHOW WARNINGS', common.LOADED, 'DELETE FROM scratch']);
    };
    await query(connection, 'DELETE FROM scratch');
    await load('rows.csv');
    await load('empty.csv');
    await load('missing.csv');
    await load('big.csv', 'data');
    await load('rows.csv', 'no_such_column');
    await query(connection, {
      sql: common.LOAD('no file at all', 'name'),
      infileStreamFactory: () => pieces('1,o', 'ne\n2,', 'two\n'),
    });
    await queries(connection, [common.LOADED, 'DELETE FROM scratch']);
    remove();
    await connection.end();
  },
  async 'local-infile-off'(connection) {
    await query(connection, "LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE scratch");
    await query(connection, "SELECT 'still here'");
  },
  async bulk(connection) {
    await query(connection, 'DELETE FROM scratch');
    const rows = Array.from({ length: 500 }, (_, n) => [n, n % 3 ? `name ${n}` : null, n % 5 ? Buffer.from([n & 255]) : null]);
    const batch = (statement, values, more) => print(connection.batch({ sql: statement, fullResult: false, ...more }, values));
    const insert = 'INSERT INTO scratch (id, name, data) VALUES (?, ?, ?)';
    const outcome = () =>
      query(
        connection,
        'SELECT COUNT(*) AS n, SUM(id) AS ids, SUM(CRC32(name)) AS names, SUM(LENGTH(data)) AS data FROM scratch',
      );
    await batch(insert, rows);
    await outcome();
    await batch('UPDATE scratch SET name = ? WHERE id = ?', rows.map(([id]) => [`new ${id}`, id]));
    await outcome();
    // An error in the middle.
    await batch(insert, [[1000, 'new', null], [1, 'again', null], [1001, 'never', null]]);
    await outcome();
    await batch('INSERT INTO no_such_table VALUES (?)', [[1], [2]]);
    // Types that change from row to row, so that several commands are needed; large ones, so that several packets are.
    await batch('INSERT INTO scratch (id, name) VALUES (?, ?)', [
      [2000, 'text'], [2001n, 12], [2002, 1.5], [2003, true], ['2004', new Date(0)],
    ]);
    await batch('INSERT INTO scratch (id, data) VALUES (?, ?)', Array.from({ length: 30 }, (_, n) => [3000 + n, Buffer.alloc(700000, n)]));
    await outcome();
    await batch('SELECT ? AS value', [[1], ['two'], [null]]);
    await batch('DELETE FROM scratch WHERE id = ?', [[1], [2], [3]]);
    await batch(insert, [], {});
    // One after the other, sent without waiting.
    await batch(
      insert,
      [[4000, 'one', null], [4001, 'two', null], [4000, 'again', null], [4002, 'after the error', null]],
      { bulk: false },
    );
    await outcome();
    // By names, and two batches and a statement at once. Printed when all are done: which is first is the connector's affair.
    const answers = await Promise.allSettled([
      connection.batch(
        { sql: 'INSERT INTO scratch (id, name) VALUES (:id, :name)', namedPlaceholders: true, fullResult: false },
        [{ id: 5000, name: 'named' }, { id: 5001, name: null }],
      ),
      connection.batch({ sql: 'DELETE FROM scratch WHERE id = ?', fullResult: false }, [[6000], [6001]]),
      connection.query({ sql: "SELECT 'beside them' AS text", metaAsArray: false }),
    ]);
    for (const answer of answers) console.log(show(answer.value ?? answer.reason));
    await query(connection, 'SELECT id, name FROM scratch WHERE id >= 5000 ORDER BY id');
    await query(connection, 'DELETE FROM scratch');
  },
  async 'bulk-results'(connection) {
    await query(connection, 'CREATE TEMPORARY TABLE passing (id INT PRIMARY KEY AUTO_INCREMENT, v INT UNIQUE)');
    const batch = (statement, values) => print(connection.batch({ sql: statement, fullResult: true }, values));
    await batch('INSERT INTO passing (v) VALUES (?)', [[1], [2], [3]]);
    await batch('UPDATE passing SET v = v + 10 WHERE v > ?', [[1], [100], [0]]);
    await batch('INSERT INTO passing (v) VALUES (?)', [[50], [12], [51]]);
    await batch('DELETE FROM passing WHERE v > ?', [[12], [0]]);
    await query(connection, 'DROP TEMPORARY TABLE passing');
  },
  async pipelining(connection) {
    // All on the wire before the first answer is read, errors and prepared ones between.
    const order = [];
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        if (i % 7 === 3) await query(connection, `SELECT no_such_${i}`);
        else if (i % 7 === 5) await execute(connection, 'SELECT ? AS number', [i]);
        else if (i % 7 === 6) await query(connection, `SELECT ${i} AS number; SELECT 'second' AS text`);
        else await query(connection, `SELECT ${i} AS number`);
        order.push(i);
      }),
    );
    console.log('order', order.join(' '));
    // Large and small, so that answers and statements are under way in both directions.
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        query(connection, 'SELECT ? AS i, LENGTH(?) AS length, REPEAT(?, ?) AS v', [i, 'x'.repeat(i * 10000), 'y', i * 10000]),
      ),
    );
    await Promise.all([
      query(connection, 'DELETE FROM scratch'),
      connection.beginTransaction(),
      // As text: prepared, each would run when its number is known, so behind the ROLLBACK where the server is MySQL.
      ...Array.from({ length: 20 }, (_, i) => query(connection, 'INSERT INTO scratch VALUES (?, ?, NULL)', [i % 15, `row ${i}`])),
      connection.ping(),
      query(connection, 'SELECT COUNT(*) AS n, SUM(id) AS ids FROM scratch'),
      query(connection, 'ROLLBACK'),
      query(connection, 'SELECT COUNT(*) AS n FROM scratch'),
    ]);
    // Ten connections of a pool, on which a hundred statements of all kinds run at once.
    const pool = mariadb.createPool({ ...options({ metaAsArray: false }), connectionLimit: 10, acquireTimeout: 60000 });
    const answers = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => {
        if (i % 10 === 7) return pool.query(`SELECT no_such_${i}`);
        if (i % 3 === 0) return pool.execute('SELECT ? AS i, REPEAT(?, ?) AS v', [i, 'p', i * 1000]);
        return pool.query('SELECT ? AS i, REPEAT(?, ?) AS v; SELECT ? AS j', [i, 'q', i * 1000, i]);
      }),
    );
    for (const answer of answers) console.log(show(answer.status === 'fulfilled' ? answer.value : answer.reason));
    await pool.end();
  },
  async 'big-statement'(connection) {
    const value = 'abcdefghijklmnopqrst'.repeat(2000000);
    await query(connection, `SELECT LENGTH(t.s) AS length, SHA2(t.s, 256) AS hash FROM (SELECT '${value}' AS s) t`);
    await execute(connection, 'SELECT LENGTH(?) AS length, SHA2(?, 256) AS hash', [value.slice(0, 20000000), 'short']);
    for (const size of [0xfffffe, 0xffffff, 0x1000000]) {
      const [before, after] = ["SELECT LENGTH('", "') AS length"];
      await query(connection, before + 'z'.repeat(size - 1 - before.length - after.length) + after);
    }
    await query(connection, "SELECT 'still here'");
  },
  async 'big-result'(connection) {
    const statement =
      'SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) AS v FROM numbers WHERE n <= 8' +
      " UNION ALL SELECT 0, REPEAT('z', 34000000) UNION ALL SELECT 1, REPEAT('y', 16777209)";
    await stream(connection, statement);
    for (const call of ['query', 'execute']) {
      const [rows] = await connection[call](statement);
      console.log(rows.length, 'rows', sha1(rows.map((row) => `${row.n} ${row.v}`).join()));
    }
    await query(connection, 'SELECT a.n AS a, b.n AS b FROM numbers a, numbers b WHERE a.n <= 20 AND b.n <= 100 ORDER BY a.n, b.n');
  },
  async compression() {
    const connection = await connect({ compress: true });
    await query(connection, "SHOW SESSION STATUS LIKE 'Compression'");
    for (const name of ['text', 'prepared', 'blobs', 'multi', 'errors', 'long-data']) await cases[name](connection);
    const value = 'abcdefghijklmnopqrst'.repeat(1000000);
    await query(connection, `SELECT LENGTH(t.s) AS length, SHA2(t.s, 256) AS hash FROM (SELECT '${value}' AS s) t`);
    await query(connection, "SELECT REPEAT('c', 20000000) AS v");
    // What cannot be compressed comes as it is.
    const noise = common.noise(40000);
    await query(connection, 'DELETE FROM scratch');
    await execute(connection, 'INSERT INTO scratch (id, data) VALUES (1, ?)', [noise]);
    const [rows] = await connection.query('SELECT data FROM scratch');
    console.log('same bytes', rows[0].data.equals(noise));
    await query(connection, 'DELETE FROM scratch');
    await Promise.all(Array.from({ length: 100 }, (_, i) => query(connection, `SELECT ${i % 9 ? i : 'no_such'} AS number`)));
    await connection.end();
  },
  async 'change-user'(connection) {
    await query(connection, 'SET @kept = 1');
    await execute(connection, 'SELECT @kept + ? AS kept', [1]);
    for (const database of ['secret', 'shop']) {
      await attempt('change user', connection.changeUser({ user: common.user, database }));
      await query(connection, 'SELECT DATABASE(), @kept, @@character_set_client');
      await execute(connection, 'SELECT @kept + ? AS kept', [1]);
    }
    await attempt('change charset', connection.changeUser({ user: common.user, database: 'shop', collation: 'latin1_swedish_ci' }));
    await query(connection, "SELECT @@character_set_client, HEX('\u00e9') AS hex");
  },
  async 'reset-connection'(connection) {
    await query(connection, "SET @kept = 1, time_zone = '+05:00'");
    await query(connection, 'CREATE TEMPORARY TABLE passing (a INT)');
    await execute(connection, 'SELECT ? AS value', [1]);
    await attempt('reset', connection.reset());
    await query(connection, 'SELECT @kept, @@time_zone, DATABASE(), @@character_set_client');
    await query(connection, 'SELECT * FROM passing');
    // The connector forgets its statements, and prepares again.
    await execute(connection, 'SELECT ? AS value', [2]);
    await connection.beginTransaction();
    await query(connection, "INSERT INTO scratch VALUES (1, 'lost', NULL)");
    await attempt('reset', connection.reset());
    await query(connection, 'SELECT COUNT(*) AS n FROM scratch');
    // In the middle of others that are on their way.
    await Promise.all([
      query(connection, 'SET @a = 1'), query(connection, 'SELECT @a'), attempt('reset', connection.reset()),
      query(connection, 'SELECT @a'), query(connection, 'SELECT 3'),
    ]);
  },
  async kill(connection) {
    const other = await connect({ metaAsArray: false });
    for (const call of [query, execute]) {
      const killed = call(connection, common.HEAVY);
      await common.waitForHeavy((statement) => other.query(statement), connection.threadId);
      await other.query(`KILL QUERY ${connection.threadId}`);
      await killed;
      await query(connection, "SELECT 'still here'");
    }
    // The server may or may not get its last word out before it closes: only what comes after it is printed.
    const victim = await connect();
    await other.query(`KILL ${victim.threadId}`);
    while ((await other.query(`SELECT 1 FROM information_schema.processlist WHERE id = ${victim.threadId}`)).length > 0) await sleep(20);
    await victim.query('SELECT 1').then(() => console.log('the killed connection still answers'), () => console.log('killed'));
    victim.destroy();
    await other.end();
  },
  warnings: (connection) => queries(connection, common.WARNINGS),
  async charsets(connection) {
    for (const [name, text] of Object.entries(common.CHARSETS)) {
      console.log('charset', name);
      const other = await connect({ charset: name });
      await query(other, 'SELECT @@character_set_client, @@character_set_connection, @@character_set_results');
      await query(other, `SELECT HEX('${text.slice(0, -6)}') AS hex, '${text.slice(0, -6)}' AS value`);
      await query(other, 'SELECT HEX(?) AS hex, ? AS value', [text, text]);
      await execute(other, 'SELECT HEX(?) AS hex, ? AS value, CHARSET(?) AS charset', [text, text, text]);
      await query(other, 'DELETE FROM scratch');
      await execute(other, 'INSERT INTO scratch VALUES (1, ?, ?)', [text, Buffer.from([0x5c, 0x27, 0x81, 0x5c, 0xe9])]);
      await query(other, 'SELECT name, HEX(data) AS data FROM scratch WHERE name = ?', [text]);
      await execute(connection, 'SELECT name, HEX(data) AS data FROM scratch');
      await query(other, `SELECT * FROM \`no_such_${text.slice(0, 3)}\``);
      await query(other, 'DELETE FROM scratch');
      await other.end();
    }
  },
};

await common.main(cases, connect);
