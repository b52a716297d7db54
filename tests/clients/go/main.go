// SPDX-License-Identifier: Apache-2.0

// The cases of the client tests for Go's go-sql-driver. Usage: cases HOST PORT USER [CASE ...]
//
// Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
// What the driver cannot do is in `prepare`.
package main

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"log"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Values longer than this are printed as length and hash.
const shownBytes = 80

type testCase struct {
	name string
	run  func(*session)
}

// session is one connection of a pool of its own.
type session struct {
	pool *sql.DB
	*sql.Conn
}

var background = context.Background()

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func useCertificate() {
	if os.Getenv("CASES_TLS_CERT") == "" {
		return
	}
	own, err := tls.LoadX509KeyPair(os.Getenv("CASES_TLS_CERT"), os.Getenv("CASES_TLS_KEY"))
	must(err)
	authority, err := os.ReadFile(os.Getenv("CASES_TLS_CA"))
	must(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		must(fmt.Errorf("no certificate in %s", os.Getenv("CASES_TLS_CA")))
	}
	must(mysql.RegisterTLSConfig("own", &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}))
}

func source(change func(*mysql.Config)) string {
	host, port, user := os.Args[1], os.Args[2], os.Args[3]
	settings := mysql.NewConfig()
	settings.User = user
	settings.DBName = "shop"
	settings.MultiStatements = true
	settings.Params = map[string]string{"charset": "utf8mb4"}
	if strings.HasPrefix(host, "/") {
		settings.Net, settings.Addr = "unix", host
	} else {
		settings.Net, settings.Addr = "tcp", net.JoinHostPort(host, port)
	}
	if os.Getenv("CASES_TLS_CERT") != "" {
		settings.TLSConfig = "own"
	}
	if change != nil {
		change(settings)
	}
	return settings.FormatDSN()
}

func openPool(change func(*mysql.Config)) *sql.DB {
	pool, err := sql.Open("mysql", source(change))
	must(err)
	return pool
}

func open(change func(*mysql.Config)) *session {
	pool := openPool(change)
	connection, err := pool.Conn(background)
	must(err)
	return &session{pool, connection}
}

func (s *session) close() {
	s.Conn.Close()
	s.pool.Close()
}

func digest(bytes []byte) string {
	return fmt.Sprintf("<%d bytes %x>", len(bytes), sha1.Sum(bytes))
}

// show prints a value with its Go type.
func show(value interface{}) string {
	switch typed := value.(type) {
	case nil:
		return "nil"
	case []byte:
		if len(typed) > shownBytes {
			return "[]byte" + digest(typed)
		}
		return fmt.Sprintf("[]byte%q", typed)
	case string:
		if len(typed) > shownBytes {
			return "string" + digest([]byte(typed))
		}
		return fmt.Sprintf("%q", typed)
	case time.Time:
		return "time:" + typed.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%T:%v", value, value)
}

func failure(err error) string {
	if reported, ok := err.(*mysql.MySQLError); ok {
		return fmt.Sprintf("error %d %s", reported.Number, reported.Message)
	}
	return fmt.Sprintf("error of the driver: %v", err)
}

func column(field *sql.ColumnType) string {
	precision, scale, isDecimal := field.DecimalSize()
	nullable, nullKnown := field.Nullable()
	length, lengthKnown := field.Length()
	return fmt.Sprintf("column %q %s %v decimal %d %d %v nullable %v %v length %d %v", field.Name(),
		field.DatabaseTypeName(), typeName(field.ScanType()), precision, scale, isDecimal, nullable, nullKnown,
		length, lengthKnown)
}

func typeName(kind reflect.Type) string {
	if kind == nil {
		return "-"
	}
	return kind.String()
}

// printSet prints one result set to its end.
func printSet(rows *sql.Rows) {
	fields, err := rows.ColumnTypes()
	if err != nil {
		fmt.Println(failure(err))
		return
	}
	for _, field := range fields {
		fmt.Println(column(field))
	}
	values := make([]interface{}, len(fields))
	targets := make([]interface{}, len(fields))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		must(rows.Scan(targets...))
		fmt.Print("row")
		for _, value := range values {
			fmt.Print(" ", show(value))
		}
		fmt.Println()
	}
}

func printRows(rows *sql.Rows, err error) {
	if err != nil {
		fmt.Println(failure(err))
		return
	}
	defer rows.Close()
	for {
		printSet(rows)
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil {
		fmt.Println(failure(err))
	}
}

func printResult(result sql.Result, err error) {
	if err != nil {
		fmt.Println(failure(err))
		return
	}
	affected, err := result.RowsAffected()
	must(err)
	inserted, err := result.LastInsertId()
	must(err)
	fmt.Println("ok affected", affected, "insert id", inserted)
}

func (s *session) query(text string, values ...interface{}) {
	printRows(s.QueryContext(background, text, values...))
}

func (s *session) execute(text string, values ...interface{}) {
	printResult(s.ExecContext(background, text, values...))
}

// each calls back with a connection over the text protocol only, and with one that prepares at the server.
func each(run func(*session)) {
	for _, interpolate := range []bool{true, false} {
		one := open(func(settings *mysql.Config) { settings.InterpolateParams = interpolate })
		run(one)
		one.close()
	}
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: cases HOST PORT USER [CASE ...]")
		os.Exit(2)
	}
	// The driver tells stderr of each connection that it finds broken.
	must(mysql.SetLogger(log.New(os.Stderr, "", 0)))
	useCertificate()
	wanted := os.Args[4:]
	for _, each := range cases {
		if len(wanted) > 0 && !contains(wanted, each.name) {
			continue
		}
		fmt.Println("==", each.name)
		one := open(nil)
		each.run(one)
		one.close()
	}
}

func contains(names []string, name string) bool {
	for _, each := range names {
		if each == name {
			return true
		}
	}
	return false
}
