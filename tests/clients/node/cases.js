// SPDX-License-Identifier: Apache-2.0
// The cases of the client tests for mysql2. Usage: node cases.js HOST PORT USER [CASE ...]
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
import crypto from 'node:crypto';
import mysql from 'mysql2/promise';

const [host, port, user, ...names] = process.argv.slice(2);

const connect = () =>
  mysql.createConnection({
    host,
    port: Number(port),
    user,
    database: 'shop',
    charset: 'utf8mb4',
    multipleStatements: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
  });

const sha1 = (data) => crypto.createHash('sha1').update(data).digest('hex');

function show(value) {
  if (Buffer.isBuffer(value)) {
    return value.length > 60 ? `<${value.length} bytes ${sha1(value)}>` : `x'${value.toString('hex')}'`;
  }
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value).map(([key, item]) => `${key}: ${show(item)}`).join(', ')}}`;
  }
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 200 ? `<${text.length} characters ${sha1(text)}>` : text;
}

const column = (field) => `${field.name}:${field.columnType}:${field.flags}:${field.characterSet}`;

async function print(promise) {
  try {
    const [rows, fields] = await promise;
    for (const row of Array.isArray(rows) ? rows : [rows]) console.log('result', show(row));
    const columns = (fields ?? []).flat().filter((field) => field);
    console.log('columns', columns.map(column).join(' '));
  } catch (error) {
    console.log('error', error.errno, error.code, error.sqlState, error.sqlMessage ?? error.message);
  }
}

const query = (connection, ...call) => print(connection.query(...call));
const execute = (connection, ...call) => print(connection.execute(...call));

const cases = {
  async text(connection) {
    await query(connection, "SELECT 1, NULL, 'text', '', 2.50");
    await query(connection, 'SELECT * FROM types ORDER BY id');
    await query(connection, 'SELECT * FROM types WHERE id = 0');
    await query(connection, 'SELECT ?, ?', ["it's \"quoted\" \u20ac", null]);
  },
  async prepared(connection) {
    await execute(connection, 'SELECT * FROM types ORDER BY id');
    await execute(connection, 'SELECT * FROM types WHERE id = ?', [1]);
    await execute(connection, 'SELECT * FROM types WHERE id = ?', [2]);
    await execute(connection, 'SELECT ?, ?, ?, ?', ['text', null, 1.5, Buffer.from([0, 1, 39, 92, 255])]);
    await execute(connection, 'SELECT nothing FROM nowhere');
    connection.unprepare('SELECT * FROM types WHERE id = ?');
    await execute(connection, 'SELECT * FROM types WHERE id = ?', [3]);
    await execute(connection, 'CALL two_results()');
  },
  async blobs(connection) {
    const data = Buffer.alloc(2048, Uint8Array.from({ length: 256 }, (_, i) => i));
    await query(connection, 'SELECT LENGTH(?), HEX(?)', [data, data.subarray(0, 256)]);
    await query(connection, 'DELETE FROM scratch');
    await execute(connection, 'INSERT INTO scratch VALUES (1, NULL, ?)', [data]);
    const [rows] = await connection.execute('SELECT data FROM scratch');
    console.log('same bytes', rows[0].data.equals(data));
    await query(connection, 'SELECT id, data FROM blobs ORDER BY id');
    await query(connection, 'DELETE FROM scratch');
  },
  async multi(connection) {
    await query(
      connection,
      'SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3',
    );
    await query(connection, 'SELECT 1; SELECT no_such_column; SELECT 3');
    await query(connection, 'CALL two_results()');
    await query(connection, 'CALL fails_midway()');
    await query(connection, 'CALL add_one(41, @result); SELECT @result');
  },
  async errors(connection) {
    await query(connection, 'SELECT');
    await query(connection, 'SELECT * FROM no_such_table');
    await query(connection, "INSERT INTO items VALUES (1, 'again', 1)");
    await query(connection, "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'");
    await query(connection, "SELECT 'still here'");
  },
  async transactions(connection) {
    await query(connection, 'DELETE FROM scratch');
    await connection.beginTransaction();
    await query(connection, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
    await connection.commit();
    await connection.beginTransaction();
    await query(connection, "INSERT INTO scratch VALUES (2, 'lost', NULL)");
    await connection.rollback();
    await query(connection, 'SELECT id, name FROM scratch');
    await query(connection, 'DELETE FROM scratch');
  },
  async commands(connection) {
    await connection.ping();
    await connection.changeUser({ user, database: 'shop' });
    await query(connection, "SELECT DATABASE(), 'after the change'");
    await query(connection, 'USE no_such_schema');
  },
  async pipelined(connection) {
    // Written before the first answer is read: the library queues them, the protocol allows them in flight.
    await Promise.all(Array.from({ length: 50 }, (_, i) => query(connection, `SELECT ${i} AS number`)));
  },
  async 'big-statement'(connection) {
    const value = 'abcdefghijklmnopqrst'.repeat(2000000);
    await query(connection, `SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '${value}' AS s) t`);
    await execute(connection, 'SELECT LENGTH(?), SHA2(?, 256)', [value.slice(0, 20000000), 'short']);
  },
  async 'big-result'(connection) {
    const statement =
      'SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) AS v FROM numbers WHERE n <= 66' +
      " UNION ALL SELECT 0, REPEAT('z', 34000000)";
    const digest = crypto.createHash('sha1');
    let rows = 0;
    for await (const row of connection.connection.query(statement).stream()) {
      digest.update(`${row.n} ${row.v}`);
      rows += 1;
    }
    console.log(rows, 'rows', digest.digest('hex'));
  },
  async kill(connection) {
    const victim = connection.threadId;
    const other = await connect();
    const killed = query(
      connection,
      'SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d',
    );
    for (let i = 0; i < 500; i += 1) {
      const [rows] = await other.query(
        "SELECT 1 FROM information_schema.processlist WHERE id = ? AND info LIKE '%to be killed%'",
        [victim],
      );
      if (rows.length === 1) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await other.query(`KILL QUERY ${victim}`);
    await killed;
    await other.end();
    await query(connection, "SELECT 'still here'");
  },
};

for (const name of names.length > 0 ? names : Object.keys(cases)) {
  console.log('==', name);
  const connection = await connect();
  await cases[name](connection);
  await connection.end();
}
