// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

var cases = []testCase{
	{"text", text}, {"prepared", prepared}, {"types", types}, {"parameters", parameters}, {"long-data", longData},
	{"unbuffered", unbuffered}, {"blobs", blobs}, {"multi", multi}, {"errors", failures}, {"transactions", transactions},
	{"commands", commands}, {"local-infile", localInfile}, {"local-infile-off", localInfileOff},
	{"big-statement", bigStatement}, {"big-result", bigResult}, {"pool", pool}, {"kill", kill},
	{"warnings", warnings}, {"charsets", charsets}, {"info", info},
}

func text(s *session) {
	s.query("SELECT 1, NULL, 'text', '', 2.50")
	s.query("SELECT * FROM types WHERE id = 0")
	s.query("SELECT id, name, price FROM items ORDER BY id")
	s.execute("UPDATE items SET price = price")
	s.execute("DO 0")
	s.query("UPDATE items SET price = price")
	s.execute("CREATE TEMPORARY TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(10))")
	s.execute("INSERT INTO counted (name) VALUES ('a'), ('b'), ('c')")
	s.execute("INSERT INTO counted VALUES (100, ?)", "d")
	s.execute("INSERT INTO counted (name) VALUES (?)", "e")
	one := open(func(settings *mysql.Config) {
		settings.InterpolateParams = true
		settings.ColumnsWithAlias = true
	})
	one.query("SELECT ?, ?, ?, i.name FROM items i WHERE i.id = ?", "it's \"quoted\" \\ \u20ac", nil, -1.5, 1)
	one.close()
}

func prepared(s *session) {
	statement, err := s.PrepareContext(background, "SELECT id, name, price FROM items WHERE id = ? OR name = ?")
	must(err)
	for _, values := range [][]interface{}{{1, "chair"}, {"3", nil}, {uint8(2), "\u20ac"}, {99.0, ""}, {true, "x"}} {
		printRows(statement.QueryContext(background, values...))
	}
	must(statement.Close())
	for _, wrong := range []string{"SELECT nothing FROM nowhere", "SELECT ? +"} {
		_, err := s.PrepareContext(background, wrong)
		fmt.Println(failure(err))
	}
	s.query("CALL add_one(?, @result)", 41)
	s.query("CALL two_results() -- ?", 1)
	statement, err = s.PrepareContext(background, "CALL two_results()")
	must(err)
	printRows(statement.QueryContext(background))
	must(statement.Close())
	// Executed, not queried: of an error behind a first result the driver's rows wait for more results for ever.
	statement, err = s.PrepareContext(background, "CALL fails_midway()")
	must(err)
	printResult(statement.ExecContext(background))
	printResult(statement.ExecContext(background))
	must(statement.Close())
	s.execute("SET @a = ?", "kept")
	s.query("SELECT @a, ?", "and")
	manyStatements(s)
}

// Statements that are alive at once, and closed at once: no close has an answer.
func manyStatements(s *session) {
	var many []*sql.Stmt
	for i := 0; i < 300; i++ {
		statement, err := s.PrepareContext(background, fmt.Sprintf("SELECT %d AS number, ? AS value", i))
		must(err)
		many = append(many, statement)
	}
	printRows(many[17].QueryContext(background, 1))
	for _, statement := range many[:250] {
		must(statement.Close())
	}
	printRows(many[299].QueryContext(background, 2))
	for _, statement := range many[250:] {
		must(statement.Close())
	}
	s.query("SELECT 'still here'")
}

func types(s *session) {
	for _, parse := range []bool{false, true} {
		one := open(func(settings *mysql.Config) { settings.ParseTime = parse })
		one.query("SELECT * FROM types ORDER BY id")
		// With a value it goes over the binary protocol.
		for id := 1; id <= 3; id++ {
			one.query("SELECT * FROM types WHERE id = ?", id)
		}
		one.close()
	}
	scanned(s)
}

// The client's own conversions, out of both protocols.
func scanned(s *session) {
	for _, values := range [][]interface{}{nil, {1}} {
		where := " WHERE id = 1"
		if values != nil {
			where = " WHERE id = ?"
		}
		var small int8
		var unsigned uint64
		var real32 float32
		var real64 float64
		var decimal, date sql.NullString
		var raw json.RawMessage
		var year sql.NullInt64
		const columns = "c_tiny, c_ubig, c_float, c_double, c_decimal, c_datetime, c_json, c_year"
		row := s.QueryRowContext(background, "SELECT "+columns+" FROM types"+where, values...)
		err := row.Scan(&small, &unsigned, &real32, &real64, &decimal, &date, &raw, &year)
		fmt.Println("scanned", err, small, unsigned, real32, real64, decimal, date, string(raw), year)
	}
}

type kept struct{}

func (kept) Value() (driver.Value, error) { return "from a Valuer", nil }

func parameters(s *session) {
	moment := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	text := "by pointer"
	values := []interface{}{
		nil, true, false, int8(-128), int16(-32768), int32(math.MinInt32), int64(math.MinInt64), 42, uint8(255),
		uint16(65535), uint32(math.MaxUint32), uint64(math.MaxUint64), float32(1.5), -2.5e300, math.SmallestNonzeroFloat64,
		"", "it's \"quoted\" \\ \u20ac \U0001f6aa", []byte{}, []byte(nil), []byte{0, 39, 92, 255}, moment,
		moment.Truncate(24 * time.Hour), time.Time{}, moment.In(time.FixedZone("", 3600)), json.RawMessage(`{"a": 1}`),
		sql.NullString{}, sql.NullString{String: "set", Valid: true}, sql.NullInt64{Int64: 7, Valid: true},
		sql.NullBool{Bool: true, Valid: true}, sql.NullTime{Time: moment, Valid: true}, &text, kept{},
		strings.Repeat("l", 300), strings.Repeat("L", 70000),
	}
	each(func(one *session) {
		for _, value := range values {
			fmt.Printf("%T\n", value)
			one.query("SELECT ? AS value", value)
		}
		one.query("SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?", nil, 1, nil, nil, "x", nil, nil, nil, nil)
		boundRow(one, moment)
		one.query("SELECT ?, ?", 1)
	})
	s.query("SELECT @@sql_mode = @@sql_mode, ?", time.Duration(1500)*time.Millisecond)
}

// The types of the table take what was bound; a temporary table goes with the connection.
func boundRow(s *session, moment time.Time) {
	s.execute("CREATE TEMPORARY TABLE bound LIKE types")
	values := []interface{}{
		77, int8(-128), uint8(255), int16(-32768), 8388607, int32(math.MinInt32), int64(math.MinInt64),
		uint64(math.MaxUint64), "1.5", float32(-1.5), 2.5e300, []byte{1, 0, 1}, moment, "-838:59:58.5", moment, moment,
		1901, "char", "v\u00e4r \U0001f6aa", []byte{0, 255, 10, 13}, []byte{0, 1}, []byte{0}, []byte{39, 92},
		bytes.Repeat([]byte("m"), 70000), bytes.Repeat([]byte("l"), 300), "tt", "text", "medium", "long", "two", "a,c",
		`{"a": [1, null]}`, nil,
	}
	s.execute("INSERT INTO bound VALUES ("+strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")+")", values...)
	s.query("SELECT * FROM bound")
	s.execute("DROP TEMPORARY TABLE bound")
}

// A value that would fill too much of a packet goes ahead of its execution, in pieces.
func longData(s *session) {
	value := []byte(strings.Repeat("0123456789abcde\n", 1<<16))
	for _, most := range []int{1000, 1 << 16, 4 << 20} {
		one := open(func(settings *mysql.Config) { settings.MaxAllowedPacket = most })
		one.query("SELECT LENGTH(?), SHA2(?, 256), ?", value, string(value), "short")
		one.execute("DELETE FROM scratch")
		one.execute("INSERT INTO scratch VALUES (?, ?, ?)", 1, nil, value)
		one.query("SELECT id, LENGTH(data), SHA2(data, 256) FROM scratch")
		statement, err := one.PrepareContext(background, "SELECT LENGTH(?), LENGTH(?)")
		must(err)
		// Long values first, then short ones of the same statement: nothing of the long ones may stay.
		printRows(statement.QueryContext(background, value, "x"))
		printRows(statement.QueryContext(background, "yy", value))
		printRows(statement.QueryContext(background, "yy", nil))
		must(statement.Close())
		one.execute("DELETE FROM scratch")
		one.close()
	}
}

// Rows arrive as they are read; those that nobody reads are drained by the driver.
func unbuffered(s *session) {
	statement := "SELECT a.n, b.n FROM numbers a, numbers b WHERE a.n <= 50 ORDER BY a.n, b.n"
	for _, values := range [][]interface{}{nil, {1}} {
		if values != nil {
			statement = strings.Replace(statement, "ORDER", "AND 1 = ? ORDER", 1)
		}
		rows, err := s.QueryContext(background, statement, values...)
		must(err)
		var first, second, sum, count int
		for i := 0; i < 3 && rows.Next(); i++ {
			must(rows.Scan(&first, &second))
			fmt.Println("row", first, second)
		}
		fmt.Println("closed early:", rows.Close())
		s.query("SELECT 'after an early end'")
		rows, err = s.QueryContext(background, statement, values...)
		must(err)
		for rows.Next() {
			must(rows.Scan(&first, &second))
			sum += first * second
			count++
		}
		fmt.Println(count, "rows", sum, rows.Err())
	}
	// An error after rows have been seen.
	s.query("SELECT n, (SELECT a.n FROM numbers a WHERE a.n <= numbers.n) FROM numbers ORDER BY n")
	s.query("SELECT n, (SELECT a.n FROM numbers a WHERE a.n <= numbers.n + ?) FROM numbers ORDER BY n", 0)
	s.query("SELECT 'still here'")
}

func blobs(s *session) {
	data := make([]byte, 2048)
	for i := range data {
		data[i] = byte(i)
	}
	each(func(one *session) {
		one.execute("DELETE FROM scratch")
		one.query("SELECT LENGTH(?), HEX(?)", data, data[:256])
		one.execute("INSERT INTO scratch VALUES (1, NULL, ?)", data)
		one.execute("INSERT INTO scratch VALUES (2, '', ?)", bytes.Repeat(data, 512))
		var found []byte
		must(one.QueryRowContext(background, "SELECT data FROM scratch WHERE id = ?", 1).Scan(&found))
		fmt.Println("same bytes", bytes.Equal(found, data))
		one.query("SELECT id, data FROM scratch ORDER BY id")
		one.query("SELECT id, data FROM blobs WHERE id < ? ORDER BY id", 10)
		one.execute("DELETE FROM scratch")
	})
}

func multi(s *session) {
	s.query("SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3")
	s.execute("INSERT INTO scratch (id) VALUES (1); INSERT INTO scratch (id) VALUES (2), (3); DELETE FROM scratch")
	s.execute("SELECT 1; SELECT no_such_column; SELECT 3")
	s.execute("DO 0; SELECT no_such_column; DO 0")
	s.query("CALL two_results()")
	s.execute("CALL two_results()")
	s.execute("CALL fails_midway()")
	s.query("CALL add_one(41, @result); SELECT @result")
	// Not all results are read: the driver reads the rest away.
	rows, err := s.QueryContext(background, "SELECT 1; SELECT 2; SELECT 3")
	must(err)
	fmt.Println("closed early:", rows.Close())
	one := open(func(settings *mysql.Config) { settings.MultiStatements = false })
	one.query("SELECT 1; SELECT 2")
	one.query("SELECT 'still here'")
	one.close()
}

func failures(s *session) {
	for _, statement := range []string{
		"SELECT", "SELECT * FROM no_such_table", "INSERT INTO items VALUES (1, 'again', 1)",
		"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\u00fcll'", "SELECT * FROM mysql.user",
		"INSERT INTO no_such_schema.t VALUES (1)", "SELECT 'still here'",
	} {
		s.query(statement)
		s.execute(statement)
	}
	s.execute("INSERT INTO items VALUES (?, 'again', 1)", 1)
	s.query("SELECT nothing FROM nowhere WHERE a = ?", 1)
	refused := openPool(func(settings *mysql.Config) { settings.DBName = "no_such_schema" })
	fmt.Println("refused", failure(refused.Ping()))
	refused.Close()
	refused = openPool(func(settings *mysql.Config) { settings.Params["no_such_variable"] = "1" })
	fmt.Println("refused", failure(refused.Ping()))
	refused.Close()
}

func transactions(s *session) {
	s.execute("DELETE FROM scratch")
	levels := []sql.IsolationLevel{sql.LevelDefault, sql.LevelReadCommitted, sql.LevelSerializable}
	for i, level := range levels {
		transaction, err := s.BeginTx(background, &sql.TxOptions{Isolation: level})
		must(err)
		printResult(transaction.Exec("INSERT INTO scratch VALUES (?, 'kept', NULL)", i))
		printRows(transaction.Query("SELECT COUNT(*) FROM scratch"))
		fmt.Println("commit", transaction.Commit())
	}
	transaction, err := s.BeginTx(background, nil)
	must(err)
	printResult(transaction.Exec("INSERT INTO scratch VALUES (10, 'lost', NULL)"))
	fmt.Println("rollback", transaction.Rollback())
	readOnly, err := s.BeginTx(background, &sql.TxOptions{ReadOnly: true})
	must(err)
	printResult(readOnly.Exec("INSERT INTO scratch VALUES (11, 'refused', NULL)"))
	fmt.Println("rollback", readOnly.Rollback())
	s.query("SELECT id, name FROM scratch ORDER BY id")
	s.execute("DELETE FROM scratch")
}

func commands(s *session) {
	fmt.Println("ping", s.PingContext(background))
	s.execute("USE information_schema")
	s.query("SELECT DATABASE()")
	s.execute("USE no_such_schema")
	s.query("SELECT VERSION()")
	one := open(func(settings *mysql.Config) {
		settings.Params = map[string]string{"time_zone": "'+05:30'"}
		settings.Collation = "utf8mb4_bin"
	})
	one.query("SELECT @@time_zone, @@collation_connection")
	one.close()
}

// handed is what the next LOAD DATA LOCAL INFILE 'Reader::handed' sends.
func load(s *session, shown string, reader io.Reader) {
	mysql.RegisterReaderHandler("handed", func() io.Reader { return reader })
	fmt.Print(shown, " ")
	s.execute("LOAD DATA LOCAL INFILE 'Reader::handed' INTO TABLE scratch CHARACTER SET utf8mb4")
}

type broken struct{ left int }

func (b *broken) Read(into []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("the reader broke")
	}
	b.left--
	return copy(into, fmt.Sprintf("%d\tbefore\t\\N\n", 1000+b.left)), nil
}

func localInfile(s *session) {
	s.execute("DELETE FROM scratch")
	load(s, "small", strings.NewReader("1\tone\t\\N\n2\t\u20ac\tdata\n2\tagain\tx\nx\ty\n"))
	s.query("SHOW WARNINGS")
	s.query("SELECT * FROM scratch ORDER BY id")
	var large strings.Builder
	for i := 10; i < 210; i++ {
		fmt.Fprintf(&large, "%d\t%s\t%s\n", i, strings.Repeat("n", 50), strings.Repeat(string(rune('a'+i%26)), 100000))
	}
	load(s, "large", strings.NewReader(large.String()))
	s.query("SELECT COUNT(*), SUM(LENGTH(data)), MAX(SHA2(data, 256)) FROM scratch")
	load(s, "empty", strings.NewReader(""))
	load(s, "broken", &broken{3})
	s.query("SELECT COUNT(*) FROM scratch WHERE id >= 1000")
	s.execute("LOAD DATA LOCAL INFILE 'Reader::unknown' INTO TABLE scratch")
	file, err := os.CreateTemp("", "cases")
	must(err)
	defer os.Remove(file.Name())
	_, err = file.WriteString("5000\tfrom a file\t\\N\n")
	must(err)
	must(file.Close())
	mysql.RegisterLocalFile(file.Name())
	s.execute("LOAD DATA LOCAL INFILE '" + file.Name() + "' INTO TABLE scratch")
	s.query("SELECT id, name FROM scratch WHERE id = 5000")
	s.execute("DELETE FROM scratch")
}

// The driver always says that it can; what was not registered it does not send.
func localInfileOff(s *session) {
	s.execute("DELETE FROM scratch")
	s.execute("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE scratch")
	s.query("SELECT COUNT(*) FROM scratch")
}

func bigStatement(s *session) {
	value := strings.Repeat("abcdefghijklmnopqrst", 1000000)
	// Zero: as large as the server says.
	for _, interpolate := range []bool{true, false} {
		one := open(func(settings *mysql.Config) {
			settings.MaxAllowedPacket = 0
			settings.InterpolateParams = interpolate
		})
		one.query("SELECT LENGTH(?), SHA2(?, 256)", value, "short")
		for _, size := range []int{0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1} {
			// Exactly one packet's size, and one byte less and more.
			before, after := "SELECT LENGTH('", "') AS length"
			one.query(before + strings.Repeat("z", size-1-len(before)-len(after)) + after)
		}
		one.close()
	}
	s.query("SELECT LENGTH('" + strings.Repeat("z", 5<<20) + "')")
	s.query("SELECT 'still here'")
}

func bigResult(s *session) {
	for _, values := range [][]interface{}{nil, {20}} {
		most := "20"
		if values != nil {
			most = "?"
		}
		rows, err := s.QueryContext(background, "SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) AS v FROM numbers"+
			" WHERE n <= "+most+" UNION ALL SELECT 0, REPEAT('z', 17000000)", values...)
		must(err)
		hash, count := sha1.New(), 0
		for rows.Next() {
			var number int
			var value sql.RawBytes
			must(rows.Scan(&number, &value))
			fmt.Fprintf(hash, "%d %s", number, value)
			count++
		}
		fmt.Printf("%d rows %x %v\n", count, hash.Sum(nil), rows.Err())
	}
}

// Ten goroutines share ten connections; the sums say that nobody got another's answer.
func pool(_ *session) {
	shared := openPool(nil)
	defer shared.Close()
	shared.SetMaxOpenConns(10)
	shared.SetMaxIdleConns(5)
	var wait sync.WaitGroup
	answers := make([]string, 10)
	for worker := range answers {
		wait.Add(1)
		go func(worker int) {
			defer wait.Done()
			answers[worker] = work(shared, worker)
		}(worker)
	}
	wait.Wait()
	for worker, answer := range answers {
		fmt.Println("worker", worker, answer)
	}
	// A session variable stays on its connection; the driver does not reset it.
	shared.SetMaxOpenConns(1)
	_, err := shared.Exec("SET @mine = 1")
	must(err)
	printRows(shared.Query("SELECT @mine"))
}

func work(shared *sql.DB, worker int) string {
	wrong, sum := 0, 0
	for i := 0; i < 40; i++ {
		given, got := worker*1000+i, 0
		if err := shared.QueryRow("SELECT ? + 0", given).Scan(&got); err != nil || got != given {
			wrong++
		}
		if err := shared.QueryRow(fmt.Sprintf("SELECT %d", given)).Scan(&got); err != nil || got != given {
			wrong++
		}
		if _, err := shared.Exec("SELECT nothing FROM nowhere"); err == nil {
			wrong++
		}
		sum += got
	}
	return fmt.Sprint("sum ", sum, " wrong ", wrong)
}

// waitFor returns the connection that runs what begins like this.
func waitFor(s *session, beginning string) (id int64) {
	for i := 0; i < 500; i++ {
		err := s.QueryRowContext(background, "SELECT id FROM information_schema.processlist WHERE info LIKE ?",
			beginning+"%").Scan(&id)
		if err == nil {
			// It is listed before it runs; the columns come when it does.
			time.Sleep(200 * time.Millisecond)
			return id
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0
}

func kill(s *session) {
	other := open(func(settings *mysql.Config) { settings.InterpolateParams = true })
	defer other.close()
	const endless = " SUM(a.n * b.n - c.n * d.n) FROM numbers a, numbers b, numbers c, numbers d"
	ended := make(chan bool)
	go func() {
		victim := waitFor(other, "SELECT /* to be killed */")
		_, err := other.ExecContext(background, fmt.Sprint("KILL QUERY ", victim))
		must(err)
		close(ended)
	}()
	s.query("SELECT /* to be killed */" + endless)
	<-ended
	s.query("SELECT 'still here'")
	cancelled(other, "SELECT /* to be cancelled */"+endless)
	cancelled(other, "SELECT /* to be cancelled too */"+endless+" WHERE 1 = ?", 1)
	// The whole connection.
	var id int64
	must(s.QueryRowContext(background, "SELECT CONNECTION_ID()").Scan(&id))
	other.execute(fmt.Sprint("KILL ", id))
	time.Sleep(300 * time.Millisecond)
	_, err := s.ExecContext(background, "DO 0")
	fmt.Println("lost", err != nil)
	other.query("SELECT 'still here'")
}

// cancelled gives up in the middle of a query: the driver closes the connection, and the pool opens another.
func cancelled(other *session, statement string, values ...interface{}) {
	shared := openPool(nil)
	defer shared.Close()
	shared.SetMaxOpenConns(1)
	limited, cancel := context.WithCancel(background)
	running := make(chan int64)
	go func() {
		id := waitFor(other, statement[:strings.Index(statement, "*/")])
		cancel()
		running <- id
	}()
	_, err := shared.QueryContext(limited, statement, values...)
	fmt.Println("cancelled:", err)
	id := <-running
	printRows(shared.Query("SELECT 'another connection'"))
	// The server computes on for a client that has gone.
	_, _ = other.ExecContext(background, fmt.Sprint("KILL ", id))
	limited, cancel = context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	_, err = shared.ExecContext(limited, "DO SLEEP(1)")
	fmt.Println("too late:", err)
	printRows(shared.Query("SELECT 'and another'"))
}

func warnings(s *session) {
	each(func(one *session) {
		one.query("SELECT CAST(? AS SIGNED), 1 / 0", "12abc")
		one.query("SHOW WARNINGS")
		one.execute("DROP TABLE IF EXISTS no_such_table")
		one.query("SHOW WARNINGS")
		one.execute("SET SESSION sql_mode = ''")
		one.execute("INSERT INTO scratch (id, name) VALUES (1, ?)", strings.Repeat("w", 100))
		one.query("SHOW WARNINGS")
		one.query("SHOW COUNT(*) WARNINGS")
		one.execute("DELETE FROM scratch")
	})
}

func charsets(s *session) {
	s.query("SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection")
	for _, set := range []string{"latin1", "utf8mb3", "gbk", "sjis", "binary"} {
		one := open(func(settings *mysql.Config) { settings.Params["charset"] = "no_such_set," + set })
		one.query("SELECT @@character_set_results, _utf8mb4 X'C3BC', HEX('q')")
		one.query("SELECT c_varchar, c_char, LENGTH(c_mediumtext), c_enum FROM types WHERE id = 1")
		one.query("SELECT 'm\u00fcll' AS `sp\u00e4lte`, ? AS `\u20ac`", "\u00fc")
		one.close()
	}
}

func info(_ *session) {
	for _, found := range []bool{false, true} {
		one := open(func(settings *mysql.Config) { settings.ClientFoundRows = found })
		one.execute("UPDATE items SET price = price")
		one.execute("UPDATE items SET price = price WHERE id <= ?", 2)
		one.execute("INSERT INTO items VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE price = price")
		one.execute("CREATE TEMPORARY TABLE informed AS SELECT * FROM numbers")
		one.execute("INSERT INTO informed SELECT n FROM numbers WHERE n > ?", 990)
		one.query("SELECT FOUND_ROWS(), ROW_COUNT()")
		one.close()
	}
}
