// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for MariaDB's connector for Node. Usage: node cases.js HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
//
// Left out, because the connector has none of it: server-side cursors (`streaming` is its own), zstd, attributes. It tells of the
// session's changes only the schema and the character set, so `session-track` prints those.
import crypto from 'node:crypto';
import fs from 'node:fs';
import mariadb from 'mariadb';
import * as common from './common.js';

const options = (more) => ({ ...common.options(), metaAsArray: true, connectTimeout: 20000, ...more });
const connect = async (more) => common.mayBeLost(await mariadb.createConnection(options(more)));

const column = (field) =>
  `${field.schema()}.${field.table()}.${field.name()} of ${field.orgTable()}.${field.orgName()} type ${field.columnType}` +
  ` charset ${field.collation?.index} length ${field.columnLength} flags ${field.flags} scale ${field.scale}` +
  ` ${field.dataTypeName ?? ''} ${field.dataTypeFormat ?? ''}`;

const readRows = (connection, statement) => connection.queryStream(statement);

const calls = common.callsOf({ connect, column, readRows });
const { print, query, execute, queries, executes } = calls;
const { attempt, pieces, show } = common;

const lengthAndHash = (text) => `SELECT LENGTH(t.s) AS length, SHA2(t.s, 256) AS hash FROM (SELECT '${text}' AS s) t`;

const cases = {
  async text(connection) {
    await queries(connection, common.TEXT);
    await query(connection, 'SELECT ? AS a, ? AS b', ["it's \"quoted\" \u20ac", null]);
    await query(connection, { sql: 'SELECT 1 AS a, 2 AS b', rowsAsArray: true });
    await query(connection, { sql: 'SELECT * FROM items i JOIN items j USING (id)', nestTables: true });
  },
  async prepared(connection) {
    await common.executeAgain(calls, connection);
    await execute(connection, 'SELECT nothing FROM nowhere');
    await execute(connection, 'SELECT nothing FROM nowhere WHERE id = ?', [1]);
    await executes(connection, common.PREPARED);
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
    await common.executeAfterAlter(calls, connection);
    // Prepared and executed in one breath, many at a time, with failing ones between: the statement has no number yet.
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        execute(connection, i % 5 === 4 ? `SELECT no_such_${i} + ?` : `SELECT ${i} + ? AS sum`, [i]),
      ),
    );
    // A cache of three statements, and none at all.
    for (const prepareCacheLength of [3, 0]) {
      const small = await connect({ prepareCacheLength });
      await common.overflowCache(calls, small);
      await small.end();
    }
    const one = await connect({ pipelining: false });
    await Promise.all(Array.from({ length: 10 }, (_, i) => execute(one, `SELECT ${i} + ? AS sum`, [i])));
    await one.end();
  },
  async types(connection) {
    await common.everyType(calls, connection, {
      bitOneIsBoolean: false, insertIdAsNumber: true, bigIntAsNumber: true, decimalAsNumber: true,
    });
    for (const type of ['Point', 'LineString', 'MultiPoint']) {
      const coordinates = type === 'Point' ? [1, -2] : [[1, -2], [3, 4.5]];
      await execute(connection, 'SELECT ST_AsText(?) AS value', [{ type, coordinates }]);
    }
  },
  async parameters(connection) {
    await common.bindEach(calls, connection);
    await execute(connection, `SELECT ${common.MANY.map((_, i) => `? AS c${i}`).join(', ')}`, common.MANY);
    await common.bindByName(calls);
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
    const streaming = common.streamWithRest(calls, connection);
    // Its answer is printed when the stream is done: which of the two the connector gives first is its own affair.
    const behind = connection.query("SELECT 'sent behind the stream' AS text");
    await streaming;
    console.log(show((await behind)[0]));
    await common.streamThatFails(calls, connection);
    const other = await connect();
    await common.streamBeside(calls, other, connection);
    // The rest is read and thrown away.
    await common.leaveStream(calls, other);
    await query(connection, "SELECT 'still here'");
  },
  async blobs(connection) {
    await query(connection, 'SELECT LENGTH(?) AS length, HEX(?) AS hex', [common.BYTES, common.BYTES.subarray(0, 256)]);
    await common.blobs(calls, connection);
  },
  multi: (connection) => queries(connection, common.MULTI),
  errors: (connection) => queries(connection, common.ERRORS),
  async transactions(connection) {
    await common.commitAndRollback(calls, connection);
    // Not sent when there is nothing to roll back: the connector knows by the status of the last answer.
    await connection.rollback();
    await common.changes(calls, connection);
  },
  async commands(connection) {
    await attempt('ping', connection.ping());
    await attempt('ping with a limit', connection.ping(5000));
    console.log('valid', connection.isValid(), 'server', connection.serverVersion());
    await query(connection, 'USE no_such_schema');
    await common.connectWithoutSchema(calls, { connectAttributes: { mine: 'yes' } });
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
    await common.loadFiles(calls, connection, common.LOADS);
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
    const pool = mariadb.createPool({ ...options(), connectionLimit: 10, acquireTimeout: 60000 });
    await common.sharePool(pool, 'SELECT ? AS j');
  },
  async 'big-statement'(connection) {
    await query(connection, lengthAndHash(common.letters(2000000)));
    await execute(connection, 'SELECT LENGTH(?) AS length, SHA2(?, 256) AS hash', [common.letters(1000000), 'short']);
    await common.commandsOf(calls, connection, [0xfffffe, 0xffffff, 0x1000000]);
    await query(connection, "SELECT 'still here'");
  },
  'big-result': (connection) => common.bigResult(calls, connection),
  async compression() {
    const connection = await common.repeatCompressed(calls, cases, ['text', 'prepared', 'blobs', 'multi', 'errors', 'long-data']);
    await query(connection, lengthAndHash(common.letters(1000000)));
    await common.compressMuch(calls, connection);
    await Promise.all(Array.from({ length: 100 }, (_, i) => query(connection, `SELECT ${i % 9 ? i : 'no_such'} AS number`)));
    await connection.end();
  },
  async 'change-user'(connection) {
    await common.changeSchemas(calls, connection);
    await attempt('change charset', connection.changeUser({ user: common.user, database: 'shop', collation: 'latin1_swedish_ci' }));
    await query(connection, "SELECT @@character_set_client, HEX('\u00e9') AS hex");
  },
  async 'reset-connection'(connection) {
    await common.resetSession(calls, connection, () => execute(connection, 'SELECT ? AS value', [1]));
    // The connector forgets its statements, and prepares again.
    await execute(connection, 'SELECT ? AS value', [2]);
    await common.resetTransaction(calls, connection);
    await query(connection, 'SELECT COUNT(*) AS n FROM scratch');
    // In the middle of others that are on their way.
    await Promise.all([
      query(connection, 'SET @a = 1'), query(connection, 'SELECT @a'), attempt('reset', connection.reset()),
      query(connection, 'SELECT @a'), query(connection, 'SELECT 3'),
    ]);
  },
  kill: (connection) => common.kill(calls, connection),
  warnings: (connection) => queries(connection, common.WARNINGS),
  charsets: (connection) => common.charsets(calls, connection),
};

await common.main(cases, connect);
