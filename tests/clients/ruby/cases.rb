# SPDX-License-Identifier: Apache-2.0
# The cases of the client tests for Ruby's mysql2. Usage: cases.rb HOST PORT USER [CASE ...]
#
# Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
# What the client cannot do is in `prepare`.
require 'bigdecimal'
require 'date'
require 'digest'
require 'io/wait'
require 'mysql2'
require 'tempfile'

HOST, PORT, USER, *NAMES = ARGV
SHOWN_BYTES = 80
ALL_FLAGS = %w[MULTI_STATEMENTS].freeze

$stdout.binmode
$stdout.sync = true

def tls
  return {} unless ENV['CASES_TLS_CERT']

  {
    sslcert: ENV['CASES_TLS_CERT'], sslkey: ENV['CASES_TLS_KEY'], sslca: ENV['CASES_TLS_CA'], sslverify: true
  }
end

def where
  HOST.start_with?('/') ? { socket: HOST } : { host: HOST, port: PORT.to_i }
end

def connect(flags: ALL_FLAGS, **more)
  Mysql2::Client.new(
    username: USER, database: 'shop', encoding: 'utf8mb4', flags: flags, database_timezone: :utc, as: :array,
    reconnect: false, **where, **tls, **more
  )
end

# A value with its class; strings with their encoding.
def show(value)
  case value
  when nil then 'nil'
  when String
    bytes = value.b
    return "#{value.encoding}<#{bytes.bytesize} bytes #{Digest::SHA1.hexdigest(bytes)}>" if bytes.bytesize > SHOWN_BYTES

    "#{value.encoding}#{bytes.dump}"
  when BigDecimal then "BigDecimal:#{value.to_s('F')}"
  when Time then "Time:#{value.getutc.strftime('%F %T.%6N')}"
  else "#{value.class}:#{value}"
  end
end

def show_error(error)
  return "error #{error.error_number} #{error.sql_state} #{error.message.b}" if error.is_a?(Mysql2::Error)

  "error of the client: #{error.class} #{error.message.b}"
end

def print_result(client, result)
  if result.nil?
    puts "ok affected #{client.affected_rows} insert id #{client.last_id} warnings #{client.warning_count}" \
         " info #{client.query_info_string || '-'}"
    return
  end
  puts "fields #{result.fields.map { |name| show(name) }.join(' ')}"
  result.each { |row| puts "row #{row.map { |value| show(value) }.join(' ')}" }
  puts "rows #{result.count} flags #{result.server_flags.to_a.sort.to_h} warnings #{client.warning_count}"
end

# Prints every result of one call.
def run(client, statement, **options)
  result = client.query(statement, **options)
  loop do
    print_result(client, result)
    # The first result must be freed before the next is asked for.
    result&.free
    break unless client.next_result

    result = client.store_result
  end
rescue Mysql2::Error => error
  puts show_error(error)
end

def execute(client, statement, *values)
  result = statement.execute(*values, as: :array, database_timezone: :utc)
  if result.nil?
    puts "ok affected #{statement.affected_rows} insert id #{statement.last_id} warnings #{client.warning_count}"
  else
    print_result(client, result)
    result.free
  end
rescue Mysql2::Error, TypeError, ArgumentError => error
  puts show_error(error)
end

# Prepares, executes, closes.
def prepared(client, text, *values)
  statement = client.prepare(text)
  puts "parameters #{statement.param_count} columns #{statement.field_count}"
  execute(client, statement, *values)
  statement.close
rescue Mysql2::Error => error
  puts show_error(error)
end

BYTES = (0..255).to_a.pack('C*').b
ENDLESS = 'SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d'.freeze
COUNTED = 'CREATE TEMPORARY TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(10))'.freeze

# What Ruby can bind, each to a parameter of its own.
PARAMETERS = [
  nil, true, false, 0, 127, -128, 32_767, -32_768, 2_147_483_647, -2_147_483_648, 4_611_686_018_427_387_904,
  -9_223_372_036_854_775_808, 9_223_372_036_854_775_807, 18_446_744_073_709_551_615, 1.5, -2.5e300, 5e-324,
  BigDecimal('12345678901234567890.0123456789'), BigDecimal('-0.5'), '', "it's \"quoted\" \\ \u20ac \u{1f6aa}", :symbol,
  "\x00\x27\x5c\xff".b, "m\u00fcll".encode('ISO-8859-1'), 'l' * 300, 'L' * 70_000, Date.new(2024, 2, 29),
  Time.utc(2024, 2, 29, 12, 34, 56, 789_012), DateTime.new(2024, 2, 29, 12, 34, 56)
].freeze

BOUND_ROW = [
  77, -128, 255, -32_768, 8_388_607, -2_147_483_648, -9_223_372_036_854_775_808, 18_446_744_073_709_551_615,
  BigDecimal('1.5'), -1.5, 2.5e300, "\x01\x00\x01".b, Date.new(1000, 1, 1), '-838:59:58.5',
  Time.utc(9999, 12, 31, 23, 59, 59, 999_999), Time.utc(2038, 1, 19, 3, 14, 7, 999_000), 1901, 'char',
  "v\u00e4r \u{1f6aa}", "\x00\xff\x0a\x0d".b, "\x00\x01".b, "\x00".b, "\x27\x5c".b, 'm' * 70_000, 'l' * 300, 'tt',
  'text', 'medium', 'long', 'two', 'a,c', '{"a": [1, null]}', nil
].freeze

def load(client, path, shown)
  run_load(client, "LOAD DATA LOCAL INFILE '#{path}' INTO TABLE scratch CHARACTER SET utf8mb4", path, shown)
end

def run_load(client, statement, path, shown)
  client.query(statement)
  print "#{shown} "
  print_result(client, nil)
rescue Mysql2::Error => error
  puts "#{shown} #{show_error(error).gsub(path, shown)}"
end

def with_file(text)
  file = Tempfile.new('cases')
  file.binmode
  file.write(text)
  file.close
  yield file.path
ensure
  file&.unlink
end

def wait_for(client, id, beginning)
  500.times do
    found = client.query(
      "SELECT 1 FROM information_schema.processlist WHERE id = #{id} AND info LIKE '#{beginning}%'"
    )
    return if found.count == 1

    sleep 0.02
  end
end

def common_values(client)
  run(client, 'SELECT * FROM types ORDER BY id')
  prepared(client, 'SELECT ?, ?', 'text', nil)
  client.query('DELETE FROM scratch')
  prepared(client, 'INSERT INTO scratch VALUES (1, NULL, ?)', BYTES)
  run(client, 'SELECT * FROM scratch')
  client.query('DELETE FROM scratch')
end

CASES = {
  'text' => lambda do |client|
    run(client, "SELECT 1, NULL, 'text', '', 2.50")
    run(client, 'SELECT * FROM types WHERE id = 0')
    run(client, "SELECT '#{client.escape("it's \"quoted\" \\ \u20ac")}', NULL, -1.5e0")
    run(client, 'SELECT id, name, price FROM items ORDER BY id')
    run(client, 'SELECT id, name, price FROM items ORDER BY id', cast: false)
    run(client, 'UPDATE items SET price = price')
    run(client, COUNTED)
    run(client, "INSERT INTO counted (name) VALUES ('a'), ('b'), ('c')")
    run(client, "INSERT INTO counted VALUES (100, 'd')")
    run(client, "INSERT INTO counted (name) VALUES ('e')")
    run(client, 'REPLACE INTO counted VALUES (1, NULL)')
  end,
  'prepared' => lambda do |client|
    statement = client.prepare('SELECT id, name, price FROM items WHERE id = ? OR name = ?')
    puts "parameters #{statement.param_count} fields #{statement.fields.join(' ')}"
    [[1, 'chair'], ['3', nil], [2.0, "\u20ac"], [99, '']].each { |values| execute(client, statement, *values) }
    begin
      statement.execute(1)
    rescue Mysql2::Error => error
      puts show_error(error)
    end
    statement.close
    begin
      statement.execute(1, 2)
    rescue Mysql2::Error => error
      puts show_error(error)
    end
    prepared(client, 'SELECT nothing FROM nowhere')
    prepared(client, 'SELECT ? +')
    prepared(client, 'SET @a = ?', 'kept')
    prepared(client, 'SELECT @a, ?', 'and')
    run(client, COUNTED)
    prepared(client, 'INSERT INTO counted (name) VALUES (?), (?)', 'a', 'b')
    prepared(client, 'CALL add_one(?, @result)', 41)
    # Statements that are alive at once, and closed one behind the other: no close has an answer.
    many = Array.new(300) { |i| client.prepare("SELECT #{i} AS number, ? AS value") }
    execute(client, many[17], 1)
    many[0, 250].each(&:close)
    execute(client, many[299], 2)
    many[250, 50].each(&:close)
    run(client, "SELECT 'still here'")
  end,
  'types' => lambda do |client|
    run(client, 'SELECT * FROM types ORDER BY id')
    run(client, 'SELECT * FROM types ORDER BY id', cast: false)
    run(client, 'SELECT * FROM types ORDER BY id', as: :array, symbolize_keys: true, cast_booleans: true)
    (2..3).each { |id| prepared(client, 'SELECT * FROM types WHERE id = ?', id) }
    # The client's own times of the binary protocol end at 23 hours.
    columns = client.query('SELECT * FROM types LIMIT 0').fields - ['c_time']
    prepared(client, "SELECT #{columns.join(', ')}, CAST(c_time AS CHAR) FROM types ORDER BY id")
    prepared(client, 'SELECT c_time FROM types ORDER BY id')
  end,
  'parameters' => lambda do |client|
    PARAMETERS.each do |value|
      puts value.class
      prepared(client, 'SELECT ? AS value', value)
    end
    prepared(client, 'SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?', nil, 1, nil, nil, 'x', nil, nil, nil, nil)
    # The types of the table take what was bound; a temporary table goes with the connection.
    run(client, 'CREATE TEMPORARY TABLE bound LIKE types')
    prepared(client, "INSERT INTO bound VALUES (#{(['?'] * BOUND_ROW.size).join(', ')})", *BOUND_ROW)
    run(client, 'SELECT * FROM bound')
  end,
  'unbuffered' => lambda do |client|
    statement = 'SELECT a.n, b.n FROM numbers a, numbers b WHERE a.n <= 50 ORDER BY a.n, b.n'
    result = client.query(statement, stream: true, cache_rows: false)
    puts "first #{result.first.map { |value| show(value) }.join(' ')}"
    begin
      client.query('SELECT 1')
    rescue Mysql2::Error => error
      puts show_error(error)
    end
    client.abandon_results!
    result.free
    # A connection in the middle of a stream is not good for more.
    client = connect
    rows = sum = 0
    client.query(statement, stream: true, cache_rows: false).each do |first, second|
      rows += 1
      sum += first * second
    end
    puts "#{rows} rows #{sum}"
    run(client, "SELECT 'behind the stream'")
    # One round trip for each row.
    prepared_stream = client.prepare(statement.sub('50', '5'))
    rows = 0
    prepared_stream.execute(stream: true, cache_rows: false, as: :array).each { rows += 1 }
    puts "#{rows} rows of a prepared statement"
    prepared_stream.close
    # An error after rows have been seen.
    seen = []
    begin
      client.query(
        'SELECT n, (SELECT a.n FROM numbers a WHERE a.n <= numbers.n) FROM numbers ORDER BY n',
        stream: true, cache_rows: false
      ).each { |row| seen << row }
    rescue Mysql2::Error => error
      puts show_error(error)
    end
    puts "seen #{seen}"
    client.close
  end,
  'blobs' => lambda do |client|
    run(client, 'DELETE FROM scratch')
    data = BYTES * 8
    prepared(client, 'SELECT LENGTH(?), HEX(?)', data, BYTES)
    prepared(client, 'INSERT INTO scratch VALUES (1, NULL, ?)', data)
    run(client, "INSERT INTO scratch VALUES (2, '', _binary'#{client.escape(data)}')".b)
    prepared(client, 'INSERT INTO scratch VALUES (3, NULL, ?)', data * 512)
    found = client.query('SELECT data FROM scratch ORDER BY id').map(&:first)
    puts "same bytes #{found[0] == data} #{found[1] == data} #{found[2] == data * 512}"
    prepared(client, 'SELECT id, data FROM scratch ORDER BY id')
    prepared(client, 'SELECT id, data FROM blobs ORDER BY id')
    run(client, 'SELECT id, data FROM blobs ORDER BY id')
    run(client, 'DELETE FROM scratch')
  end,
  'multi' => lambda do |client|
    run(client, 'SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3')
    run(client, 'SELECT 1; SELECT no_such_column; SELECT 3')
    run(client, 'CALL two_results()')
    run(client, 'CALL fails_midway()')
    run(client, 'CALL add_one(41, @result); SELECT @result')
    # Not all results are read.
    puts client.query('SELECT 1; SELECT 2; SELECT 3').to_a.inspect, client.more_results?
    client.abandon_results!
    run(client, "SELECT 'still here'")
    one = connect(flags: [])
    run(one, 'SELECT 1; SELECT 2')
    one.close
  end,
  'errors' => lambda do |client|
    statements = [
      'SELECT', 'SELECT * FROM no_such_table', "INSERT INTO items VALUES (1, 'again', 1)",
      "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'", 'SELECT * FROM mysql.user',
      'INSERT INTO no_such_schema.t VALUES (1)', "SELECT 'still here'"
    ]
    statements.each { |statement| run(client, statement) }
    statements.each { |statement| prepared(client, statement) }
    begin
      connect(database: 'no_such_schema')
    rescue Mysql2::Error => error
      puts "refused #{show_error(error)}"
    end
    begin
      connect(init_command: 'SET no_such_variable = 1')
    rescue Mysql2::Error => error
      puts "refused #{show_error(error)}"
    end
  end,
  'transactions' => lambda do |client|
    run(client, 'DELETE FROM scratch')
    run(client, 'START TRANSACTION')
    run(client, "INSERT INTO scratch VALUES (1, 'kept', NULL)")
    run(client, 'SELECT COUNT(*) FROM scratch')
    run(client, 'COMMIT')
    run(client, 'SET autocommit = 0')
    run(client, "INSERT INTO scratch VALUES (2, 'lost', NULL)")
    run(client, 'SAVEPOINT s')
    run(client, "INSERT INTO scratch VALUES (3, 'lost too', NULL)")
    run(client, 'ROLLBACK TO s')
    run(client, 'SELECT id, name FROM scratch')
    run(client, 'ROLLBACK')
    run(client, 'START TRANSACTION READ ONLY')
    run(client, 'DELETE FROM scratch')
    run(client, 'ROLLBACK')
    run(client, 'SET autocommit = 1')
    run(client, 'SELECT id, name FROM scratch')
    run(client, 'DELETE FROM scratch')
  end,
  'commands' => lambda do |client|
    puts "ping #{client.ping}", "server #{client.server_info[:version]} #{client.server_info[:id]}"
    puts "same id #{client.thread_id == client.query('SELECT CONNECTION_ID()').first.first}"
    puts "select_db #{client.select_db('shop')}"
    begin
      client.select_db('no_such_schema')
    rescue Mysql2::Error => error
      puts show_error(error)
    end
    run(client, 'SELECT DATABASE()')
    puts "option #{client.set_server_option(Mysql2::Client::OPTION_MULTI_STATEMENTS_OFF)}"
    run(client, 'SELECT 1; SELECT 2')
    puts "option #{client.set_server_option(Mysql2::Client::OPTION_MULTI_STATEMENTS_ON)}"
    run(client, 'SELECT 1; SELECT 2')
    client.query('SELECT SLEEP(0.2), 42', async: true)
    puts 'sent'
    IO.for_fd(client.socket, autoclose: false).wait_readable
    print_result(client, client.async_result)
    attributes = connect(connect_attrs: { purpose: 'tests', long: 'a' * 300 }, init_command: 'SET @first = 1')
    run(attributes, 'SELECT @first')
    attributes.close
    puts "closed #{attributes.closed?}"
  end,
  'local-infile' => lambda do |_|
    client = connect(local_infile: true)
    run(client, 'DELETE FROM scratch')
    with_file("1\tone\t\\N\n2\t\u20ac\tdata\n2\tagain\tx\nx\ty\n") { |path| load(client, path, 'small.tsv') }
    run(client, 'SHOW WARNINGS')
    run(client, 'SELECT * FROM scratch ORDER BY id')
    large = (10..209).map { |i| "#{i}\t#{'n' * 50}\t#{(97 + (i % 26)).chr * 100_000}\n" }.join
    with_file(large) { |path| load(client, path, 'large.tsv') }
    run(client, 'SELECT COUNT(*), SUM(LENGTH(data)), MAX(SHA2(data, 256)) FROM scratch')
    with_file('') { |path| load(client, path, 'empty.tsv') }
    load(client, '/nonexistent/file', 'missing.tsv')
    run(client, 'DELETE FROM scratch')
    client.close
  end,
  'local-infile-off' => lambda do |_|
    client = connect(local_infile: false)
    with_file("1\tone\t\\N\n") { |path| load(client, path, 'small.tsv') }
    run(client, "SELECT 'still here'")
    client.close
  end,
  'big-statement' => lambda do |client|
    value = 'abcdefghijklmnopqrst' * 1_000_000
    run(client, "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '#{value}' AS s) t")
    prepared(client, 'SELECT LENGTH(?), SHA2(?, 256)', value, 'short')
    # Exactly one packet's size, and one byte less and more: the split ends with an empty packet or does not.
    [0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1].each do |size|
      before = "SELECT LENGTH('"
      after = "') AS length"
      run(client, before + ('z' * (size - 1 - before.size - after.size)) + after)
    end
  end,
  'big-result' => lambda do |client|
    statement = 'SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) FROM numbers WHERE n <= 20 UNION ALL' \
                " SELECT 0, REPEAT('z', 17000000)"
    sources = [-> { client.query(statement) }, -> { client.query(statement, stream: true, cache_rows: false) },
               -> { client.prepare(statement).execute(as: :array) }]
    sources.each do |source|
      digest = Digest::SHA1.new
      rows = 0
      source.call.each do |number, value|
        digest << "#{number} " << value
        rows += 1
      end
      puts "#{rows} rows #{digest.hexdigest}"
    end
  end,
  'compression' => lambda do |_|
    client = connect(flags: ALL_FLAGS + ['COMPRESS'])
    run(client, "SHOW SESSION STATUS LIKE 'Compression'")
    common_values(client)
    prepared(client, 'SELECT LENGTH(?), SHA2(?, 256)', 'q' * 20_000_000, 'short')
    long = client.query("SELECT REPEAT('abcdefghij', 2000000)").first.first
    puts "20 MB #{long.size} #{Digest::SHA1.hexdigest(long)}"
    client.close
  end,
  'kill' => lambda do |client|
    other = connect
    killer = Thread.new do
      wait_for(other, client.thread_id, 'SELECT /* to be killed */')
      other.query("KILL QUERY #{client.thread_id}")
    end
    run(client, "SELECT /* to be killed */ #{ENDLESS}")
    killer.join
    run(client, "SELECT 'still here'")
    # The client gives up in the middle of a query and closes.
    impatient = connect(read_timeout: 1)
    victim = impatient.thread_id
    run(impatient, "SELECT /* too long */ #{ENDLESS}")
    impatient.close
    begin
      other.query("KILL #{victim}")
    rescue Mysql2::Error
      # The server had found out by itself.
    end
    run(other, "KILL #{client.thread_id}")
    sleep 0.3
    begin
      client.query('SELECT 1')
      puts 'alive'
    rescue Mysql2::Error
      # How the loss is worded is the proxy's own matter.
      puts 'lost'
    end
    run(other, "SELECT 'still here'")
    other.close
  end,
  'warnings' => lambda do |client|
    run(client, "SELECT CAST('12abc' AS SIGNED), 1 / 0")
    run(client, 'SHOW WARNINGS')
    prepared(client, 'SELECT CAST(? AS SIGNED), 1 / 0', '12abc')
    run(client, 'SHOW WARNINGS')
    run(client, 'DROP TABLE IF EXISTS no_such_table')
    run(client, 'SHOW WARNINGS')
    run(client, "SET SESSION sql_mode = ''")
    prepared(client, 'INSERT INTO scratch (id, name) VALUES (?, ?)', 1, 'w' * 100)
    run(client, 'SHOW WARNINGS')
    run(client, 'SHOW COUNT(*) WARNINGS')
    run(client, 'DELETE FROM scratch')
  end,
  'charsets' => lambda do |client|
    run(client, 'SELECT @@character_set_client, @@character_set_results, @@collation_connection')
    { 'latin1' => 'ISO-8859-1', 'utf8' => 'UTF-8', 'sjis' => 'Shift_JIS', 'gbk' => 'GBK',
      'cp1251' => 'Windows-1251' }.each do |name, encoding|
      one = connect(encoding: name)
      run(one, "SELECT @@character_set_results, _utf8mb4 X'C3BC', HEX('q')")
      run(one, 'SELECT c_varchar, c_char, LENGTH(c_mediumtext), c_enum FROM types WHERE id = 1')
      text = "SELECT 'm\u00fcll \u8868 \u0416' AS `sp\u00e4lte`".encode(encoding, undef: :replace, replace: '?')
      run(one, text)
      prepared(one, 'SELECT ? AS value', "m\u00fcll \u8868 \u0416".encode(encoding, undef: :replace, replace: '?'))
      one.close
    end
  end,
  'info' => lambda do |_|
    [[], ['FOUND_ROWS']].each do |flags|
      client = connect(flags: flags)
      [
        'UPDATE items SET price = price',
        "INSERT INTO items VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE price = price",
        'CREATE TEMPORARY TABLE informed AS SELECT * FROM numbers', 'ALTER TABLE informed ADD c INT',
        'INSERT INTO informed SELECT n, 1 FROM numbers WHERE n > 990', 'SELECT * FROM informed WHERE c = 1 LIMIT 1',
        'SELECT FOUND_ROWS(), ROW_COUNT()'
      ].each do |statement|
        run(client, statement)
        puts client.query_info
      end
      client.close
    end
  end
}.freeze

(NAMES.empty? ? CASES.keys : NAMES).each do |name|
  puts "== #{name}"
  client = connect
  CASES.fetch(name).call(client)
  client.close
end
