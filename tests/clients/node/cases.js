// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for mysql2. Usage: node cases.js HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
//
// Left out, because mysql2 has none of it: long-data, server-side cursors (`streaming` is its own), zstd, and bulk as one command
// (`bulk` is its form, one INSERT of many rows).
import crypto from 'node:crypto';
import fs from 'node:fs';
import { Readable } from 'node:stream';
import mysql from 'mysql2/promise';
import * as common from './common.js';

const { show, sha1, sleep } = common;
const { TypedParameter } = mysql;

const options = (more) => ({
  ...common.where(),
  supportBigNumbers: true,
  bigNumberStrings: true,
  dateStrings: true,
  timezone: 'Z',
  ...more,
});

async function connect(more) {
  const connection = await mysql.createConnection(options(more));
  // A lost connection is reported to whoever waits for an answer; without a listener it would end the program too.
  connection.on('error', () => {});
  return connection;
}

const column = (field) =>
  `${field.schema}.${field.table}.${field.name} of ${field.orgTable}.${field.orgName} type ${field.columnType}` +
  ` charset ${field.characterSet} length ${field.columnLength} flags ${field.flags} decimals ${field.decimals}` +
  ` ${field.extendedTypeName ?? ''} ${field.extendedFormat ?? ''}`;

async function print(promise) {
  try {
    const [rows, fields] = await promise;
    for (const field of (fields ?? []).flat()) if (field) console.log('column', column(field));
    for (const row of Array.isArray(rows) ? rows : [rows]) {
      // MySQL counts statements over all sessions. Of the other value the library reads more than there is, so bytes of other packets.
      delete row.stateChanges?.systemVariables?.statement_id;
      if (typeof row.stateChanges?.trackStateChange === 'string') row.stateChanges.trackStateChange = 'told';
      console.log('result', show(row));
    }
  } catch (error) {
    console.log(common.showError(error));
  }
}

const query = (connection, ...call) => print(connection.query(...call));
const execute = (connection, ...call) => print(connection.execute(...call));
const queries = async (connection, statements) => {
  for (const statement of statements) await query(connection, statement);
};

async function attempt(name, promise) {
  try {
    const result = await promise;
    console.log(name, 'done', show(result));
  } catch (error) {
    console.log(name, common.showError(error));
  }
}

/** Hash and count of the rows of a stream; `pause` is called with each row's number. */
async function stream(connection, statement, pause = async () => {}, highWaterMark = 16) {
  const digest = crypto.createHash('sha1');
  let rows = 0;
  try {
    for await (const row of connection.connection.query(statement).stream({ highWaterMark })) {
      await pause(rows);
      digest.update(Object.values(row).join(' '));
      rows += 1;
    }
  } catch (error) {
    console.log(common.showError(error));
  }
  console.log(rows, 'rows', digest.digest('hex'));
}

/** By collation: the library looks the number up that it says at the login. */
const COLLATIONS = {
  latin1: 'LATIN1_SWEDISH_CI', gbk: 'GBK_CHINESE_CI', sjis: 'SJIS_JAPANESE_CI', big5: 'BIG5_CHINESE_CI',
  utf8mb4: 'UTF8MB4_GENERAL_CI',
};

/** Every type that can be asked for by name, at its limits. */
const TYPED = {
  TINY: [-128, 127, null], SHORT: [-32768, 32767], YEAR: [1901, 2155], INT24: [-8388608, 8388607], LONG: [-2147483648],
  LONGLONG: ['-9223372036854775808', 9223372036854775807n], FLOAT: [1.5, -0.1], DOUBLE: [1e300, 5e-324],
  DECIMAL: ['-12345678901234567890.0123456789'], NEWDECIMAL: ['0.10'], DATE: ['2024-02-29'], DATETIME: ['2024-02-29 12:34:56.789'],
  TIMESTAMP: ['2038-01-19 03:14:07'], TIME: ['-838:59:58.999999', '00:00:00'], VARCHAR: ['v'], VAR_STRING: ["it's"],
  STRING: ['s'], ENUM: ['one'], SET: ['a,c'], JSON: ['{"a": 1}'], TINY_BLOB: [Buffer.from([0, 255])],
  MEDIUM_BLOB: [Buffer.alloc(70000, 7)], LONG_BLOB: [Buffer.alloc(0)], BLOB: [Buffer.from('blob')],
};

const cases = {
  async text(connection) {
    await queries(connection, common.TEXT);
    await query(connection, 'SELECT ?, ?', ["it's \"quoted\" \u20ac", null]);
    await query(connection, { sql: 'SELECT 1 AS a, 2 AS a', rowsAsArray: true });
    await query(connection, { sql: 'SELECT * FROM items i JOIN items j USING (id)', nestTables: true });
  },
  async prepared(connection) {
    await execute(connection, 'SELECT * FROM types ORDER BY id');
    for (const id of [1, 2, 3, 1]) await execute(connection, 'SELECT * FROM types WHERE id = ?', [id]);
    await execute(connection, 'SELECT ?, ?, ?, ?', ['text', null, 1.5, Buffer.from([0, 1, 39, 92, 255])]);
    await execute(connection, 'SELECT nothing FROM nowhere');
    connection.unprepare('SELECT * FROM types WHERE id = ?');
    await execute(connection, 'SELECT * FROM types WHERE id = ?', [3]);
    await execute(connection, 'CALL two_results()');
    await execute(connection, 'CALL fails_midway()');
    await execute(connection, 'SELECT 1; SELECT 2');
    await execute(connection, 'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n LIMIT 5');
    const statement = await connection.prepare('SELECT ? AS a, ? AS b');
    await print(statement.execute([1, 'one']));
    await print(statement.execute(['now a text', null]));
    await statement.close();
    // A statement whose table changes under it: the server prepares it again by itself.
    await query(connection, 'CREATE TEMPORARY TABLE passing (a INT)');
    await execute(connection, 'SELECT * FROM passing');
    await query(connection, "ALTER TABLE passing ADD b VARCHAR(10) DEFAULT 'new'");
    await execute(connection, 'INSERT INTO passing (a) VALUES (?)', [1]);
    await execute(connection, 'SELECT * FROM passing');
    await query(connection, 'DROP TEMPORARY TABLE passing');
    await execute(connection, 'SELECT * FROM passing');
    // More statements than are kept: the oldest are closed while others run.
    const small = await connect({ maxPreparedStatements: 3 });
    for (let i = 0; i < 25; i += 1) await execute(small, `SELECT ${i % 7} + ? AS sum`, [i]);
    await Promise.all(Array.from({ length: 30 }, (_, i) => execute(small, `SELECT ${i % 5} * ? AS product`, [i])));
    await query(small, "SHOW SESSION STATUS LIKE 'Com_stmt_close'");
    await small.end();
  },
  async types(connection) {
    for (const call of [query, execute]) {
      const [columns] = await connection.query('SHOW COLUMNS FROM types');
      for (const { Field } of columns) await call(connection, `SELECT ${Field} FROM types ORDER BY id`);
    }
    // With dates as objects, and every value as the bytes that came.
    const dates = await connect({ dateStrings: false, supportBigNumbers: false });
    await query(dates, 'SELECT * FROM types ORDER BY id');
    await execute(dates, 'SELECT * FROM types ORDER BY id');
    await dates.end();
    await query(connection, {
      sql: 'SELECT * FROM types ORDER BY id',
      typeCast: (field) => `${field.type} ${sha1(field.buffer() ?? 'null')}`,
    });
    for (const [name, values] of Object.entries(TYPED)) {
      for (const value of values) {
        console.log('bound as', name);
        await execute(connection, 'SELECT ? AS value', [TypedParameter[name](value)]);
        await execute(connection, 'SELECT HEX(?) AS value', [TypedParameter[name](value)]);
      }
    }
    for (const name of ['TINY', 'SHORT', 'LONG', 'LONGLONG']) {
      const largest = { TINY: 255, SHORT: 65535, LONG: 4294967295, LONGLONG: 2n ** 64n - 1n }[name];
      await execute(connection, 'SELECT ? AS value', [TypedParameter[name].unsigned(largest)]);
    }
    await execute(connection, 'SELECT ? AS value', [TypedParameter.NULL()]);
  },
  async parameters(connection) {
    for (const value of common.PARAMETERS) {
      await execute(connection, 'SELECT ? AS value', [value]);
      await execute(connection, 'SELECT HEX(?) AS value', [value]);
      await query(connection, 'SELECT ? AS value', [value]);
    }
    // Another type at each execution of one statement.
    const statement = await connection.prepare('SELECT HEX(?) AS a, ? IS NULL AS b');
    for (const value of common.PARAMETERS) await print(statement.execute([value, value]));
    await statement.close();
    const many = Array.from({ length: 1000 }, (_, i) => (i % 3 ? i : null));
    await execute(connection, `SELECT ${many.map(() => '?').join(', ')}`, many);
    await query(connection, 'SELECT ? IN (?), ??', ['a', ['a', 'b'], 'n']);
    const named = await connect({ namedPlaceholders: true });
    await execute(named, 'SELECT :b AS b, :a AS a, :b AS c', { a: 1, b: 'two' });
    await named.end();
  },
  async streaming(connection) {
    // Rows that are taken from the socket as they are wanted.
    const statement = "SELECT n, REPEAT('p', 20000) AS v FROM numbers ORDER BY n";
    // The socket rests for a second, so that the server's output is held back on the way, and others queue behind it.
    const streaming = stream(connection, statement, (row) => (row === 100 ? sleep(1000) : undefined));
    const behind = query(connection, "SELECT 'queued behind the stream'");
    await streaming;
    await behind;
    // Two at a time on two connections, one of them slow.
    const other = await connect();
    await stream(other, statement, (row) => (row === 3 ? query(connection, "SELECT 'beside the stream'") : undefined));
    await stream(other, 'SELECT n, 9223372036854775804 + n AS sum FROM numbers ORDER BY n');
    // Left in the middle.
    for await (const row of other.connection.query(statement).stream()) {
      console.log('first of many', row.n);
      break;
    }
    other.destroy();
    await query(connection, "SELECT 'still here'");
  },
  async blobs(connection) {
    const data = Buffer.alloc(2048, Uint8Array.from({ length: 256 }, (_, i) => i));
    await query(connection, 'SELECT LENGTH(?), HEX(?)', [data, data.subarray(0, 256)]);
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
    await query(connection, 'USE no_such_schema');
    await query(connection, 'USE secret');
    await query(connection, 'SELECT DATABASE()');
    await attempt('wrong schema', connect({ database: 'no_such_schema' }));
    const without = await connect({ database: undefined });
    await query(without, 'SELECT DATABASE()');
    await query(without, 'SELECT * FROM items');
    await without.end();
  },
  async 'session-track'(connection) {
    await queries(connection, common.SESSION);
    await execute(connection, 'SET time_zone = ?', ['+02:00']);
    await execute(connection, "SET NAMES 'latin1'");
  },
  async 'local-infile'(connection) {
    const remove = common.writeFiles();
    const load = async (name, into = 'name', more = '') => {
      await query(connection, {
        sql: common.LOAD(name, into) + more,
        infileStreamFactory: (wanted) => fs.createReadStream(wanted),
      });
      await queries(connection, ['SHOW WARNINGS', common.LOADED, 'DELETE FROM scratch']);
    };
    await query(connection, 'DELETE FROM scratch');
    await load('rows.csv');
    await load('empty.csv');
    await load('missing.csv');
    await load('big.csv', 'data');
    await load('rows.csv', 'no_such_column');
    await load('rows.csv', 'name', "; SELECT 'behind the file'");
    // From a stream that is not a file, in pieces that come late.
    await query(connection, {
      sql: common.LOAD('no file at all', 'name'),
      infileStreamFactory: () =>
        Readable.from(
          (async function* pieces() {
            for (const piece of ['1,o', 'ne\n2,', 'two\n']) {
              await sleep(100);
              yield piece;
            }
          })(),
          { objectMode: false },
        ),
    });
    await query(connection, common.LOADED);
    await query(connection, 'DELETE FROM scratch');
    remove();
  },
  async 'local-infile-off'() {
    const off = await connect({ flags: ['-LOCAL_FILES'] });
    await query(off, "LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE scratch");
    await query(off, "SELECT 'still here'");
    await off.end();
    // The flag is there and the means are not.
    const on = await connect();
    await query(on, "LOAD DATA LOCAL INFILE 'rows.csv' INTO TABLE scratch");
    await on.end();
  },
  async bulk(connection) {
    await query(connection, 'DELETE FROM scratch');
    const rows = Array.from({ length: 500 }, (_, n) => [n, n % 3 ? `name ${n}` : null]);
    await query(connection, 'INSERT INTO scratch (id, name) VALUES ?', [rows]);
    await query(connection, 'INSERT INTO scratch (id, name) VALUES ?', [[[1000, 'new'], [1, 'again'], [1001, 'never']]]);
    // One statement, executed many times without waiting, with errors in between.
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        execute(connection, 'INSERT INTO scratch (id, name) VALUES (?, ?)', [2000 + (n % 50), `row ${n}`]),
      ),
    );
    await query(connection, 'SELECT COUNT(*), SUM(id), SUM(CRC32(name)) FROM scratch');
    await query(connection, 'DELETE FROM scratch');
  },
  async pipelining(connection) {
    // Given before the first answer is there: this library queues them and sends one at a time.
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => query(connection, i % 7 === 3 ? `SELECT no_such_${i}` : `SELECT ${i} AS number`)),
    );
    // Ten connections of a pool, on which a hundred statements of all kinds run at once.
    const pool = mysql.createPool({ ...options(), connectionLimit: 10 });
    const answers = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => {
        if (i % 10 === 7) return pool.query(`SELECT no_such_${i}`);
        if (i % 3 === 0) return pool.execute('SELECT ? AS i, REPEAT(?, ?) AS v', [i, 'p', i * 1000]);
        return pool.query('SELECT ? AS i, REPEAT(?, ?) AS v; SELECT ?', [i, 'q', i * 1000, i]);
      }),
    );
    for (const answer of answers) console.log(show(answer.status === 'fulfilled' ? answer.value[0] : answer.reason));
    await pool.end();
  },
  async 'big-statement'(connection) {
    const value = 'abcdefghijklmnopqrst'.repeat(2000000);
    await query(connection, `SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '${value}' AS s) t`);
    await execute(connection, 'SELECT LENGTH(?), SHA2(?, 256)', [value.slice(0, 20000000), 'short']);
    // Not of exactly a packet's size, nor a few bytes less: there the library leaves out the empty packet, or sends one too many.
    for (const size of [0xfffff0, 0x1000010]) {
      const [before, after] = ["SELECT LENGTH('", "') AS length"];
      await query(connection, before + 'z'.repeat(size - 1 - before.length - after.length) + after);
    }
    await execute(connection, 'SELECT nothing FROM nowhere');
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
    for (const name of ['text', 'prepared', 'blobs', 'multi', 'errors']) await cases[name](connection);
    const value = 'abcdefghijklmnopqrst'.repeat(1000000);
    await query(connection, `SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '${value}' AS s) t`);
    await query(connection, "SELECT REPEAT('c', 20000000) AS v");
    // What cannot be compressed comes as it is.
    const noise = common.noise(40000);
    await query(connection, 'DELETE FROM scratch');
    await execute(connection, 'INSERT INTO scratch (id, data) VALUES (1, ?)', [noise]);
    const [rows] = await connection.query('SELECT data FROM scratch');
    console.log('same bytes', rows[0].data.equals(noise));
    await query(connection, 'DELETE FROM scratch');
    await connection.end();
  },
  async attributes(connection) {
    const seen = "SELECT mysql_query_attribute_string('a') AS a, mysql_query_attribute_string('b') AS b";
    const named = { a: 'one', b: "t\u00fc'\0o" };
    await query(connection, { sql: seen, attributes: named });
    await query(connection, { sql: seen });
    await execute(connection, { sql: seen, attributes: named });
    await execute(connection, { sql: `${seen}, ? AS value`, attributes: { a: '' }, values: [1.5] });
    await execute(connection, { sql: `${seen}, ? AS value`, values: [1.5] });
    await query(connection, { sql: `${seen}; ${seen}`, attributes: { b: 'x'.repeat(70000), '': 'no name' } });
    await query(connection, { sql: seen, attributes: { a: null, b: 12, c: true, d: 1.5, e: Buffer.from([1, 255]) } });
  },
  async 'change-user'(connection) {
    await query(connection, 'SET @kept = 1');
    await execute(connection, 'SELECT @kept + ? AS kept', [1]);
    for (const database of ['secret', 'shop']) {
      await attempt('change user', connection.changeUser({ database }));
      await query(connection, 'SELECT DATABASE(), @kept, @@character_set_client');
      await execute(connection, 'SELECT @kept + ? AS kept', [1]);
    }
    await attempt('change charset', connection.changeUser({ database: 'shop', charset: 'latin1_swedish_ci' }));
    await query(connection, "SELECT @@character_set_client, HEX('\u00e9')");
  },
  async 'reset-connection'(connection) {
    await query(connection, "SET @kept = 1, time_zone = '+05:00'");
    await query(connection, 'CREATE TEMPORARY TABLE passing (a INT)');
    const statement = await connection.prepare('SELECT ? AS value');
    await print(statement.execute([1]));
    await attempt('reset', connection.reset());
    await query(connection, 'SELECT @kept, @@time_zone, DATABASE(), @@character_set_client');
    await query(connection, 'SELECT * FROM passing');
    // Nobody knows the statement any more that the program still holds.
    await print(statement.execute([2]));
    await execute(connection, 'SELECT ? AS value', [3]);
    await execute(connection, 'SELECT ? AS value', [4]);
    await attempt('reset', connection.reset());
    await execute(connection, 'SELECT ? AS value', [5]);
    await connection.beginTransaction();
    await query(connection, "INSERT INTO scratch VALUES (1, 'lost', NULL)");
    await attempt('reset', connection.reset());
    await query(connection, 'SELECT COUNT(*) FROM scratch');
  },
  async kill(connection) {
    const other = await connect();
    const rows = async (statement) => (await other.query(statement))[0];
    for (const call of [query, execute]) {
      const killed = call(connection, common.HEAVY);
      await common.waitForHeavy(rows, connection.threadId);
      await rows(`KILL QUERY ${connection.threadId}`);
      await killed;
      await query(connection, "SELECT 'still here'");
    }
    // The server may or may not get its last word out before it closes: only what comes after it is printed.
    const victim = await connect();
    await rows(`KILL ${victim.threadId}`);
    while ((await rows(`SELECT 1 FROM information_schema.processlist WHERE id = ${victim.threadId}`)).length > 0) await sleep(20);
    await victim.query('SELECT 1').then(() => console.log('the killed connection still answers'), () => console.log('killed'));
    victim.destroy();
    await other.end();
  },
  warnings: (connection) => queries(connection, common.WARNINGS),
  async charsets(connection) {
    for (const [name, text] of Object.entries(common.CHARSETS)) {
      console.log('charset', name);
      const other = await connect({ charset: COLLATIONS[name] });
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
