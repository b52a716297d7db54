// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for mysql2. Usage: node cases.js HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
//
// Left out, because mysql2 has none of it: long-data, server-side cursors (`streaming` is its own), zstd, and bulk as one command
// (`bulk` is its form, one INSERT of many rows).
import fs from 'node:fs';
import mysql from 'mysql2/promise';
import * as common from './common.js';

const { TypedParameter } = mysql;

const options = (more) => ({ ...common.options(), supportBigNumbers: true, bigNumberStrings: true, ...more });
const connect = async (more) => common.mayBeLost(await mysql.createConnection(options(more)));

const column = (field) =>
  `${field.schema}.${field.table}.${field.name} of ${field.orgTable}.${field.orgName} type ${field.columnType}` +
  ` charset ${field.characterSet} length ${field.columnLength} flags ${field.flags} decimals ${field.decimals}` +
  ` ${field.extendedTypeName ?? ''} ${field.extendedFormat ?? ''}`;

function tidy(row) {
  // MySQL counts statements over all sessions. Of the other value the library reads more than there is, so bytes of other packets.
  delete row.stateChanges?.systemVariables?.statement_id;
  if (typeof row.stateChanges?.trackStateChange === 'string') row.stateChanges.trackStateChange = 'told';
}

const readRows = (connection, statement) => connection.connection.query(statement).stream();

const calls = common.callsOf({ connect, column, readRows, tidy });
const { print, query, execute, queries, executes } = calls;
const { attempt } = common;

/** Without names for the columns: those that the server makes of the expressions are printed. */
const lengthAndHash = (text) => `SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '${text}' AS s) t`;

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
    await common.executeAgain(calls, connection);
    await execute(connection, 'SELECT ?, ?, ?, ?', ['text', null, 1.5, Buffer.from([0, 1, 39, 92, 255])]);
    await execute(connection, 'SELECT nothing FROM nowhere');
    connection.unprepare('SELECT * FROM types WHERE id = ?');
    await execute(connection, 'SELECT * FROM types WHERE id = ?', [3]);
    await executes(connection, common.PREPARED);
    const statement = await connection.prepare('SELECT ? AS a, ? AS b');
    await print(statement.execute([1, 'one']));
    await print(statement.execute(['now a text', null]));
    await statement.close();
    await common.executeAfterAlter(calls, connection);
    const small = await connect({ maxPreparedStatements: 3 });
    await common.overflowCache(calls, small);
    await query(small, "SHOW SESSION STATUS LIKE 'Com_stmt_close'");
    await small.end();
  },
  async types(connection) {
    await common.everyType(calls, connection, { supportBigNumbers: false });
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
    await common.bindEach(calls, connection);
    await execute(connection, `SELECT ${common.MANY.map(() => '?').join(', ')}`, common.MANY);
    await query(connection, 'SELECT ? IN (?), ??', ['a', ['a', 'b'], 'n']);
    await common.bindByName(calls);
  },
  async streaming(connection) {
    const streaming = common.streamWithRest(calls, connection);
    const behind = query(connection, "SELECT 'queued behind the stream'");
    await streaming;
    await behind;
    const other = await connect();
    await common.streamBeside(calls, other, connection);
    await common.streamThatFails(calls, other);
    await common.leaveStream(calls, other);
    await query(connection, "SELECT 'still here'");
  },
  async blobs(connection) {
    await query(connection, 'SELECT LENGTH(?), HEX(?)', [common.BYTES, common.BYTES.subarray(0, 256)]);
    await common.blobs(calls, connection);
  },
  multi: (connection) => queries(connection, common.MULTI),
  errors: (connection) => queries(connection, common.ERRORS),
  async transactions(connection) {
    await common.commitAndRollback(calls, connection);
    await common.changes(calls, connection);
  },
  async commands(connection) {
    await attempt('ping', connection.ping());
    await query(connection, 'USE no_such_schema');
    await query(connection, 'USE secret');
    await query(connection, 'SELECT DATABASE()');
    await common.connectWithoutSchema(calls);
  },
  async 'session-track'(connection) {
    await queries(connection, common.SESSION);
    await execute(connection, 'SET time_zone = ?', ['+02:00']);
    await execute(connection, "SET NAMES 'latin1'");
  },
  async 'local-infile'(connection) {
    // The library opens no file by itself.
    const fromFile = (sql) => ({ sql, infileStreamFactory: (name) => fs.createReadStream(name) });
    const more = `${common.LOADS[0]}; SELECT 'behind the file'`;
    await common.loadFiles(calls, connection, [...common.LOADS, more].map(fromFile));
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
    await common.sharePool(mysql.createPool({ ...options(), connectionLimit: 10 }), 'SELECT ?');
  },
  async 'big-statement'(connection) {
    await query(connection, lengthAndHash(common.letters(2000000)));
    await execute(connection, 'SELECT LENGTH(?), SHA2(?, 256)', [common.letters(1000000), 'short']);
    // Not of exactly a packet's size, nor a few bytes less: there the library leaves out the empty packet, or sends one too many.
    await common.commandsOf(calls, connection, [0xfffff0, 0x1000010]);
    await execute(connection, 'SELECT nothing FROM nowhere');
    await query(connection, "SELECT 'still here'");
  },
  'big-result': (connection) => common.bigResult(calls, connection),
  async compression() {
    const connection = await common.repeatCompressed(calls, cases, ['text', 'prepared', 'blobs', 'multi', 'errors']);
    await query(connection, lengthAndHash(common.letters(1000000)));
    await common.compressMuch(calls, connection);
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
    await common.changeSchemas(calls, connection);
    await attempt('change charset', connection.changeUser({ database: 'shop', charset: 'latin1_swedish_ci' }));
    await query(connection, "SELECT @@character_set_client, HEX('\u00e9')");
  },
  async 'reset-connection'(connection) {
    const statement = await connection.prepare('SELECT ? AS value');
    await common.resetSession(calls, connection, () => print(statement.execute([1])));
    // Nobody knows the statement any more that the program still holds.
    await print(statement.execute([2]));
    await execute(connection, 'SELECT ? AS value', [3]);
    await execute(connection, 'SELECT ? AS value', [4]);
    await attempt('reset', connection.reset());
    await execute(connection, 'SELECT ? AS value', [5]);
    await common.resetTransaction(calls, connection);
    await query(connection, 'SELECT COUNT(*) FROM scratch');
  },
  kill: (connection) => common.kill(calls, connection),
  warnings: (connection) => queries(connection, common.WARNINGS),
  charsets: (connection) => common.charsets(calls, connection, (name) => COLLATIONS[name]),
};

await common.main(cases, connect);
