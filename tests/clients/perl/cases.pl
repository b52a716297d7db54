# SPDX-License-Identifier: Apache-2.0
# The cases of the client tests for both drivers of Perl. Usage: cases.pl mysql|MariaDB HOST PORT USER [CASE ...]
#
# Prints what the server answered and nothing that differs between two runs, so that outputs can be compared.
# What the drivers cannot do is in Without.pm.
use strict;
use warnings;
use utf8;
use B ();
use DBI qw(:sql_types);
use Digest::SHA qw(sha1_hex);
use File::Temp ();
use POSIX ();

my ($driver, $host, $port, $user, @names) = @ARGV;
# Attributes have the same names in both drivers but for the first word.
my $own = $driver eq 'mysql' ? 'mysql' : 'mariadb';

$| = 1;
binmode STDOUT, ':raw';

sub out { print join(' ', @_), "\n" }

# Debian's DBD::mysql refuses mysql_ssl=1, because it cannot tell whether libmariadb would fall back to plain text. The
# library itself reads the same from an option file, and then insists on it.
my $option_file;

sub tls_option_file {
    $option_file //= do {
        my $file = File::Temp->new;
        print $file "[client]\nssl-cert=$ENV{CASES_TLS_CERT}\nssl-key=$ENV{CASES_TLS_KEY}\nssl-ca=$ENV{CASES_TLS_CA}\n",
            "ssl-verify-server-cert=1\n";
        close $file;
        $file;
    };
    return ('mysql_read_default_file=' . $option_file->filename, 'mysql_read_default_group=client');
}

sub tls_options {
    return () unless $ENV{CASES_TLS_CERT};
    return tls_option_file() if $own eq 'mysql';
    return (
        'mariadb_ssl=1', "mariadb_ssl_client_cert=$ENV{CASES_TLS_CERT}", "mariadb_ssl_client_key=$ENV{CASES_TLS_KEY}",
        "mariadb_ssl_ca_file=$ENV{CASES_TLS_CA}", 'mariadb_ssl_verify_server_cert=1',
    );
}

# Options of the data source, then attributes of the handle.
sub data_source {
    my @options = ('database=shop', "${own}_multi_statements=1", tls_options(), @_);
    push @options, $host =~ m{^/} ? ("host=localhost", "${own}_socket=$host") : ("host=$host", "port=$port");
    return "DBI:$driver:" . join(';', @options);
}

sub connect_now {
    my ($options, %attributes) = @_;
    my %utf8 = $driver eq 'mysql' ? (mysql_enable_utf8mb4 => 1) : ();
    my $dbh = DBI->connect(
        data_source(@{ $options // [] }), $user, '',
        { RaiseError => 0, PrintError => 0, PrintWarn => 0, AutoCommit => 1, %utf8, %attributes },
    );
    die 'connect: ', DBI->errstr, "\n" unless $dbh;
    return $dbh;
}

# A scalar with what Perl knows of its type: i(nteger), n(umber), s(tring), u(nicode string).
sub show {
    my ($value) = @_;
    return 'undef' unless defined $value;
    my $flags = B::svref_2object(\$value)->FLAGS;
    my $kind = $flags & B::SVf_POK ? (utf8::is_utf8($value) ? 'u' : 's') : $flags & B::SVf_NOK ? 'n' : 'i';
    my $bytes = "$value";
    utf8::encode($bytes) if utf8::is_utf8($bytes);
    return sprintf('%s<%d bytes %s>', $kind, length $bytes, sha1_hex($bytes)) if length $bytes > 80;
    $bytes =~ s/([^\x20-\x7e]|\\)/sprintf '\\x%02x', ord $1/ge;
    return "$kind'$bytes'";
}

sub message {
    my ($handle) = @_;
    my $text = $handle->errstr // '';
    utf8::encode($text) if utf8::is_utf8($text);
    return join ' ', 'error', $handle->err // 'none', ref $handle ? $handle->state : $DBI::state, $text;
}

sub print_columns {
    my ($sth) = @_;
    my @kinds = qw(NAME TYPE PRECISION SCALE NULLABLE);
    push @kinds, map { "${own}_$_" }
        qw(table type type_name length is_blob is_key is_num is_pri_key is_auto_increment);
    my %all = map { $_ => $sth->{$_} } @kinds;
    for my $i (0 .. $sth->{NUM_OF_FIELDS} - 1) {
        out('column', map { my $list = $all{$_}; ref $list && defined $list->[$i] ? show("$list->[$i]") : '-' } @kinds);
    }
}

sub print_rows {
    my ($sth) = @_;
    while (my $row = $sth->fetchrow_arrayref) {
        out('row', map { show($_) } @$row);
    }
    out(message($sth)) if $sth->err;
}

# Every result of what was executed.
sub print_results {
    my ($dbh, $sth) = @_;
    while (1) {
        if ($sth->{NUM_OF_FIELDS}) {
            print_columns($sth);
            print_rows($sth);
            out('rows', $sth->rows, 'warnings', $sth->{"${own}_warning_count"} // '-');
        } else {
            out('ok affected', $sth->rows, 'insert id', $sth->{"${own}_insertid"} // '-', 'warnings',
                $sth->{"${own}_warning_count"} // '-', 'info', $dbh->{"${own}_info"} // '-');
        }
        last unless $sth->more_results;
    }
    out(message($sth)) if $sth->err;
}

# Prepares (at the server, if the handle says so), executes, prints. The bound values may be [value, type].
sub run {
    my ($dbh, $text, @values) = @_;
    my $sth = $dbh->prepare($text) or return out('prepare', message($dbh));
    again($dbh, $sth, @values);
    $sth->finish;
}

sub again {
    my ($dbh, $sth, @values) = @_;
    for my $i (1 .. @values) {
        my $value = $values[$i - 1];
        my @bound = ref $value ? @$value : ($value);
        $sth->bind_param($i, @bound) or out('bind', message($sth));
    }
    my $done = $sth->execute;
    return out(message($sth)) unless defined $done;
    out('executed', $done);
    print_results($dbh, $sth);
}

sub server_side { return connect_now(["${own}_server_prepare=1", "${own}_server_prepare_disable_fallback=1"], @_) }

# DBD::mysql loses the results of server-side statements when it does not store them.
sub unbuffered_handles { return $own eq 'mysql' ? $_[0] : ($_[0], server_side()) }

sub scratch_is_empty { $_[0]->do('DELETE FROM scratch') or out(message($_[0])) }

my @PARAMETERS = (
    ['nothing', undef], ['text', "it's \"quoted\" \\ \x{20ac} \x{1f6aa}"], ['empty', ''], ['integer', 42],
    ['negative', -9223372036854775807 - 1], ['largest', 9223372036854775807], ['unsigned', 18446744073709551615],
    ['number', 2.5], ['tiny number', -1.25e-300],
    ['SQL_INTEGER', ['17', SQL_INTEGER]], ['SQL_BIGINT', ['-9007199254740993', SQL_BIGINT]],
    ['SQL_SMALLINT', ['-32768', SQL_SMALLINT]], ['SQL_TINYINT', ['127', SQL_TINYINT]],
    ['SQL_DOUBLE', ['0.1', SQL_DOUBLE]], ['SQL_FLOAT', ['1.5', SQL_FLOAT]], ['SQL_REAL', ['1.5', SQL_REAL]],
    ['SQL_DECIMAL', ['12345678901234567890.0123456789', SQL_DECIMAL]], ['SQL_NUMERIC', ['-1.10', SQL_NUMERIC]],
    ['SQL_CHAR', ['c', SQL_CHAR]], ['SQL_VARCHAR', ['v', SQL_VARCHAR]], ['SQL_LONGVARCHAR', ['long', SQL_LONGVARCHAR]],
    ['SQL_BINARY', ["\x00\xff", SQL_BINARY]], ['SQL_VARBINARY', ["\x27\x5c\x00", SQL_VARBINARY]],
    ['SQL_LONGVARBINARY', ["\xf0" x 300, SQL_LONGVARBINARY]], ['SQL_BLOB', ["\x00\x01\x02\xff", SQL_BLOB]],
    ['SQL_DATE', ['2024-02-29', SQL_DATE]], ['SQL_TIME', ['-12:34:56.789', SQL_TIME]],
    ['SQL_TIMESTAMP', ['2024-02-29 12:34:56.789012', SQL_TIMESTAMP]], ['SQL_BIT', ['1', SQL_BIT]],
    ['SQL_BOOLEAN', [1, SQL_BOOLEAN]], ['typed nothing', [undef, SQL_INTEGER]],
);

my %cases = (
    text => sub {
        my ($dbh) = @_;
        run($dbh, "SELECT 1, NULL, 'text', '', 2.50");
        run($dbh, 'SELECT * FROM types WHERE id = 0');
        run($dbh, 'SELECT ?, ?, ?', "it's \"quoted\" \x{20ac}", undef, -1.5);
        run($dbh, 'SELECT id, name, price FROM items ORDER BY id');
        out('do', $dbh->do('UPDATE items SET price = price') // message($dbh), $dbh->{"${own}_info"} // '-');
        run($dbh, 'CREATE TEMPORARY TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(10))');
        run($dbh, "INSERT INTO counted (name) VALUES ('a'), ('b'), ('c')");
        run($dbh, 'INSERT INTO counted VALUES (100, ?)', 'd');
        run($dbh, 'INSERT INTO counted (name) VALUES (?)', 'e');
        out('last insert id', $dbh->last_insert_id(undef, undef, undef, undef) // '-');
        # Client-side values and guessing of their types.
        $dbh->{"${own}_bind_type_guessing"} = 1;
        run($dbh, 'SELECT ?, ?, ?', '42', 'x', '1e3');
    },
    prepared => sub {
        my $dbh = server_side();
        my $sth = $dbh->prepare('SELECT id, name, price FROM items WHERE id = ? OR name = ?');
        again($dbh, $sth, @$_) for [1, 'chair'], ['3', undef], [[2, SQL_INTEGER], "\x{20ac}"], [99, ''];
        $sth->finish;
        run($dbh, 'SELECT nothing FROM nowhere');
        run($dbh, 'SELECT ? +');
        out('not enough values:', $dbh->prepare('SELECT ?')->execute // 'refused');
        run($dbh, 'CALL two_results()');
        run($dbh, 'CALL fails_midway()');
        run($dbh, 'SET @a = ?', 'kept');
        run($dbh, 'SELECT @a, ?', 'and');
        run($dbh, 'CREATE TEMPORARY TABLE counted (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(10))');
        run($dbh, 'INSERT INTO counted (name) VALUES (?), (?)', 'a', 'b');
        # Many statements alive at once; their handles all close together, without an answer to any.
        my @many = map { $dbh->prepare("SELECT $_ AS number, ? AS value") } 1 .. 200;
        out('many', map { my $i = $_; $many[$i]->execute($i); my @row = $many[$i]->fetchrow_array; $row[0] + $row[1] }
                grep { $_ % 40 == 0 } 0 .. $#many);
        undef @many;
        run($dbh, "SELECT 'still here'");
        $dbh->disconnect;
    },
    types => sub {
        my ($dbh) = @_;
        for my $handle ($dbh, server_side()) {
            run($handle, 'SELECT * FROM types ORDER BY id');
            run($handle, 'SELECT * FROM types WHERE id = ?', 1);
            run($handle, 'SELECT * FROM types WHERE id = ?', 2);
        }
        for my $statement ($dbh->column_info(undef, 'shop', 'types', '%'), $dbh->table_info(undef, 'shop', 'i%'),
            $dbh->primary_key_info(undef, 'shop', 'items')) {
            while (my $row = $statement && $statement->fetchrow_hashref) {
                my @known = grep { defined $row->{$_} && !ref $row->{$_} } sort keys %$row;
                out('info', map { "$_=" . show($row->{$_}) } @known);
            }
        }
    },
    parameters => sub {
        my ($dbh) = @_;
        for my $handle ($dbh, server_side()) {
            for my $pair (@PARAMETERS) {
                out($pair->[0]);
                run($handle, 'SELECT ? AS value', $pair->[1]);
            }
            # The types of the table take what was bound; a temporary table goes with the connection.
            run($handle, 'CREATE TEMPORARY TABLE bound LIKE types');
            my @row = (
                77, -128, 255, -32768, 8388607, '-2147483648', ['-9223372036854775808', SQL_BIGINT],
                '18446744073709551615', '1.5', [-1.5, SQL_FLOAT], [2.5e300, SQL_DOUBLE], ["\x01\x00\x01", SQL_BINARY],
                '1000-01-01', '-838:59:58.5', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999', 1901, 'char',
                "v\x{e4}r \x{1f6aa}", ["\x00\xff\x0a\x0d", SQL_BINARY], ["\x00\x01", SQL_VARBINARY], ["\x00", SQL_BLOB],
                ["\x27\x5c", SQL_BLOB], ['m' x 70000, SQL_BLOB], ['l' x 300, SQL_BLOB], 'tt', 'text', 'medium', 'long',
                'two', 'a,c', '{"a": [1, null]}', undef,
            );
            run($handle, 'INSERT INTO bound VALUES (' . join(', ', ('?') x @row) . ')', @row);
            run($handle, 'SELECT * FROM bound');
            run($handle, 'DROP TEMPORARY TABLE bound');
        }
    },
    # Rows are read as they arrive; a result that is not read to its end is drained by the driver.
    unbuffered => sub {
        my ($dbh) = @_;
        for my $handle (unbuffered_handles($dbh)) {
            $handle->{"${own}_use_result"} = 1;
            my $sth = $handle->prepare('SELECT a.n, b.n FROM numbers a, numbers b WHERE a.n <= 50 ORDER BY a.n, b.n');
            $sth->execute or out(message($sth));
            out('row', map { show($_) } $sth->fetchrow_array) for 1 .. 3;
            out('busy:', defined $handle->do('DO 1') ? 'no' : message($handle));
            out('finish', $sth->finish ? 1 : 0);
            run($handle, "SELECT 'after an early finish'");
            $sth->execute or out(message($sth));
            my ($rows, $sum) = (0, 0);
            while (my $row = $sth->fetchrow_arrayref) { $rows++; $sum += $row->[0] * $row->[1] }
            out($rows, 'rows', $sum, $sth->rows, $sth->err ? message($sth) : ());
            # An error after rows have been seen.
            run($handle, 'SELECT n, (SELECT a.n FROM numbers a WHERE a.n <= numbers.n) FROM numbers ORDER BY n');
            undef $sth;
            run($handle, "SELECT 'still here'");
        }
    },
    blobs => sub {
        my ($dbh) = @_;
        my $data = join('', map { chr } 0 .. 255) x 8;
        for my $handle ($dbh, server_side()) {
            scratch_is_empty($handle);
            run($handle, 'SELECT LENGTH(?), HEX(?)', [$data, SQL_BLOB], [substr($data, 0, 256), SQL_BLOB]);
            run($handle, 'INSERT INTO scratch VALUES (?, ?, ?)', 1, undef, [$data, SQL_BLOB]);
            run($handle, 'INSERT INTO scratch VALUES (?, ?, ?)', 2, '', [$data x 512, SQL_BLOB]);
            my $found = $handle->selectcol_arrayref('SELECT data FROM scratch ORDER BY id');
            out('same bytes', map { $_ ? 1 : 0 } $found->[0] eq $data, $found->[1] eq $data x 512);
            run($handle, 'SELECT id, data FROM scratch ORDER BY id');
            run($handle, 'SELECT id, data FROM blobs ORDER BY id');
            scratch_is_empty($handle);
        }
    },
    multi => sub {
        my ($dbh) = @_;
        run($dbh, 'SELECT 1; DO 0; SELECT 2 WHERE FALSE; UPDATE items SET price = price WHERE id = 2; SELECT 3');
        run($dbh, 'SELECT 1; SELECT no_such_column; SELECT 3');
        run($dbh, 'CALL two_results()');
        run($dbh, 'CALL fails_midway()');
        run($dbh, 'CALL add_one(41, @result); SELECT @result');
        # Not all results are asked for: the driver reads the rest away.
        my $sth = $dbh->prepare('SELECT 1; SELECT 2; SELECT 3');
        $sth->execute;
        out('first', map { show($_) } $sth->fetchrow_array);
        $sth->finish;
        run($dbh, "SELECT 'still here'");
    },
    errors => sub {
        my ($dbh) = @_;
        my @statements = (
            'SELECT', 'SELECT * FROM no_such_table', "INSERT INTO items VALUES (1, 'again', 1)",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'm\x{fc}ll \x{20ac}'", 'SELECT * FROM mysql.user',
            "INSERT INTO no_such_schema.t VALUES (1)", "SELECT 'still here'",
        );
        for my $handle ($dbh, server_side()) {
            run($handle, $_) for @statements;
        }
        # A login that the server refuses.
        my $refused = DBI->connect(data_source() =~ s/database=shop/database=no_such_schema/r, $user, '',
            { RaiseError => 0, PrintError => 0 });
        out('refused', defined $refused ? 'no' : message('DBI'));
    },
    transactions => sub {
        my ($dbh) = @_;
        scratch_is_empty($dbh);
        $dbh->{AutoCommit} = 0;
        run($dbh, "INSERT INTO scratch VALUES (1, 'kept', NULL)");
        out('commit', $dbh->commit ? 1 : 0);
        run($dbh, "INSERT INTO scratch VALUES (2, 'lost', NULL)");
        out('rollback', $dbh->rollback ? 1 : 0);
        run($dbh, 'SELECT id, name FROM scratch');
        $dbh->{AutoCommit} = 1;
        $dbh->begin_work;
        run($dbh, 'SAVEPOINT s');
        run($dbh, "INSERT INTO scratch VALUES (3, 'lost too', NULL)");
        run($dbh, 'ROLLBACK TO s');
        out('commit', $dbh->commit ? 1 : 0, 'autocommit', $dbh->{AutoCommit} ? 1 : 0);
        run($dbh, 'SELECT COUNT(*), @@autocommit FROM scratch');
        # What was not committed when the client goes is gone.
        my $leaves = connect_now([], AutoCommit => 0);
        run($leaves, "INSERT INTO scratch VALUES (4, 'gone', NULL)");
        $leaves->disconnect;
        run($dbh, 'SELECT id, name FROM scratch');
        scratch_is_empty($dbh);
    },
    commands => sub {
        my ($dbh) = @_;
        out('ping', $dbh->ping ? 1 : 0);
        my $statistics = $dbh->{"${own}_stat"} // '';
        out('statistics', $statistics =~ /^Uptime: \d+ +Threads: \d+ .*Queries per second/ ? 'as expected' : 'other');
        out('same id', $dbh->{"${own}_thread_id"} == $dbh->selectrow_array('SELECT CONNECTION_ID()') ? 1 : 0);
        out('same version', $dbh->get_info(18) eq $dbh->selectrow_array('SELECT VERSION()') ? 1 : 0,
            $dbh->get_info(18), $dbh->{"${own}_serverversion"}, $dbh->{"${own}_serverinfo"} // '-');
        out('schema', show($dbh->do('USE information_schema')), $dbh->selectrow_array('SELECT DATABASE()'));
        run($dbh, 'USE no_such_schema');
        # Sent now, read when the socket has it.
        my $sth = $dbh->prepare('SELECT SLEEP(0.2), 42', { $own eq 'mysql' ? (async => 1) : (mariadb_async => 1) });
        out('sent', $sth->execute);
        my $ready = "${own}_async_ready";
        select undef, undef, undef, 0.02 until $sth->$ready;
        my $result = "${own}_async_result";
        out('result', $sth->$result);
        print_rows($sth);
        out('ping', $dbh->ping ? 1 : 0, 'disconnect', $dbh->disconnect ? 1 : 0, 'ping', $dbh->ping ? 1 : 0);
    },
    'local-infile' => sub {
        my $dbh = connect_now(["${own}_local_infile=1"]);
        scratch_is_empty($dbh);
        my $small = File::Temp->new;
        binmode $small, ':utf8';
        print $small "1\tone\t\\N\n2\t\x{20ac}\tdata\n2\tagain\tx\nx\ty\n";
        close $small;
        load($dbh, $small->filename, 'small.tsv');
        run($dbh, 'SHOW WARNINGS');
        run($dbh, 'SELECT * FROM scratch ORDER BY id');
        # More than one packet of 16 MiB would hold.
        my $large = File::Temp->new;
        print $large "$_\t", 'n' x 50, "\t", chr(97 + $_ % 26) x 100000, "\n" for 10 .. 209;
        close $large;
        load($dbh, $large->filename, 'large.tsv');
        run($dbh, 'SELECT COUNT(*), SUM(LENGTH(data)), MAX(SHA2(data, 256)) FROM scratch');
        my $empty = File::Temp->new;
        load($dbh, $empty->filename, 'empty.tsv');
        load($dbh, '/nonexistent/file', 'missing.tsv');
        run($dbh, "SELECT 'still here'");
        scratch_is_empty($dbh);
    },
    'local-infile-off' => sub {
        my $dbh = connect_now(["${own}_local_infile=0"]);
        my $small = File::Temp->new;
        print $small "1\tone\t\\N\n";
        close $small;
        load($dbh, $small->filename, 'small.tsv');
        run($dbh, "SELECT 'still here'");
    },
    # The drivers have no bulk command: execute_array is one execution for each row.
    bulk => sub {
        for my $dbh (@_, server_side()) {
            scratch_is_empty($dbh);
            my @status;
            my $sth = $dbh->prepare('INSERT INTO scratch VALUES (?, ?, ?)');
            $sth->bind_param_array(1, [1 .. 500]);
            $sth->bind_param_array(2, [map { "name $_" } 1 .. 500]);
            $sth->bind_param_array(3, undef);
            out('array', show($sth->execute_array({ ArrayTupleStatus => \@status })), scalar(@status));
            $sth->bind_param_array(1, [500, 501, 502]);
            $sth->bind_param_array(2, ['twice', 'new', 'x' x 100]);
            $sth->bind_param_array(3, ['a', 'b', 'c']);
            out('array', show($sth->execute_array({ ArrayTupleStatus => \@status })),
                map { ref $_ ? join('/', map { $_ // '-' } @$_) : $_ } @status);
            run($dbh, 'SELECT COUNT(*), SUM(id), COUNT(data) FROM scratch');
            scratch_is_empty($dbh);
        }
    },
    'big-statement' => sub {
        my ($dbh) = @_;
        my $value = join('', map { chr(97 + $_ % 26) } 0 .. 999) x 20000;
        run($dbh, "SELECT LENGTH(t.s), SHA2(t.s, 256) FROM (SELECT '$value' AS s) t");
        # Exactly one packet's size, and one byte less and more: the split ends with an empty packet or does not.
        for my $size (0xFFFFFF - 1, 0xFFFFFF, 0xFFFFFF + 1) {
            my ($before, $after) = ("SELECT LENGTH('", "') AS length");
            run($dbh, $before . 'z' x ($size - 1 - length($before . $after)) . $after);
        }
        run(server_side(), 'SELECT LENGTH(?), SHA2(?, 256)', $value, 'short');
    },
    'big-result' => sub {
        my ($dbh) = @_;
        for my $handle (unbuffered_handles($dbh)) {
            for my $unbuffered (0, 1) {
                $handle->{"${own}_use_result"} = $unbuffered;
                my $sth = $handle->prepare(
                    'SELECT n, REPEAT(CHAR(65 + n MOD 26), 1000000) FROM numbers WHERE n <= 20 UNION ALL'
                    . " SELECT 0, REPEAT('z', 17000000)"
                );
                my ($digest, $rows) = (Digest::SHA->new(1), 0);
                $sth->execute or out(message($sth));
                while (my ($number, $value) = $sth->fetchrow_array) {
                    $digest->add("$number ", $value);
                    $rows++;
                }
                out($rows, 'rows', $digest->hexdigest, $sth->err ? message($sth) : ());
            }
        }
    },
    compression => sub {
        my @on = ("${own}_compression=1");
        my $dbh = connect_now(\@on);
        my $server = connect_now([@on, "${own}_server_prepare=1", "${own}_server_prepare_disable_fallback=1"]);
        for my $handle ($dbh, $server) {
            run($handle, "SHOW SESSION STATUS LIKE 'Compression'") if $handle == $dbh;
            run($handle, 'SELECT * FROM types ORDER BY id');
            run($handle, 'SELECT ?, ?', 'text', undef);
            scratch_is_empty($handle);
            run($handle, 'INSERT INTO scratch VALUES (1, ?, ?)', undef, [join('', map { chr } 0 .. 255), SQL_BLOB]);
            run($handle, 'SELECT * FROM scratch');
            scratch_is_empty($handle);
            run($handle, 'SELECT LENGTH(?), SHA2(?, 256)', 'q' x 20_000_000, 'short');
            my ($long) = $handle->selectrow_array("SELECT REPEAT('abcdefghij', 2000000)");
            out('20 MB', length $long, sha1_hex($long));
        }
    },
    kill => sub {
        my ($dbh) = @_;
        my $victim = $dbh->{"${own}_thread_id"};
        my $child = fork // die "fork: $!\n";
        if ($child == 0) {
            my $other = connect_now();
            for (1 .. 500) {
                my ($there) = $other->selectrow_array(
                    'SELECT 1 FROM information_schema.processlist WHERE id = ? AND info LIKE ?', undef, $victim,
                    'SELECT /* to be killed */%');
                last if $there;
                select undef, undef, undef, 0.02;
            }
            $other->do("KILL QUERY $victim");
            $other->disconnect;
            # No destructors: the handles of before the fork are the parent's.
            POSIX::_exit(0);
        }
        run($dbh, 'SELECT /* to be killed */ SUM(a.n * b.n - c.n * d.n)'
            . ' FROM numbers a, numbers b, numbers c, numbers d');
        waitpid $child, 0;
        run($dbh, "SELECT 'still here'");
        # The whole connection, from another one: the next statement finds it gone.
        my $other = connect_now();
        run($other, "KILL $victim");
        select undef, undef, undef, 0.3;
        my $sth = $dbh->prepare('SELECT 1');
        # How the loss is worded is the proxy's own matter (docs: an ERR packet instead of a closed socket).
        out('after the kill:', $sth && $sth->execute ? 'alive' : 'lost');
        run($other, "SELECT 'still here'");
    },
    warnings => sub {
        my ($dbh) = @_;
        for my $handle ($dbh, server_side()) {
            run($handle, "SELECT CAST('12abc' AS SIGNED), 1 / 0");
            run($handle, 'SHOW WARNINGS');
            run($handle, 'DROP TABLE IF EXISTS no_such_table');
            run($handle, 'SHOW WARNINGS');
            run($handle, "SET SESSION sql_mode = ''");
            run($handle, 'INSERT INTO scratch (id, name) VALUES (?, ?)', 1, 'w' x 100);
            run($handle, 'SHOW WARNINGS');
            run($handle, 'SHOW COUNT(*) WARNINGS');
            scratch_is_empty($handle);
        }
    },
    charsets => sub {
        my ($dbh) = @_;
        run($dbh, 'SELECT @@character_set_client, @@character_set_connection, @@character_set_results,'
                . ' @@collation_connection');
        for my $set (qw(latin1 utf8mb3 utf8mb4 gbk sjis binary)) {
            my $handle = connect_now();
            run($handle, "SET NAMES $set");
            run($handle, 'SELECT @@character_set_results, _utf8mb4 X\'C3BC\', HEX(\'q\')');
            run($handle, "SELECT c_varchar, c_char, LENGTH(c_mediumtext), c_enum FROM types WHERE id = 1");
            run($handle, "SELECT 'm\x{fc}ll \x{20ac}' AS `sp\x{e4}lte`");
        }
    },
    info => sub {
        for my $found (0, 1) {
            my $dbh = connect_now(["${own}_client_found_rows=$found"]);
            run($dbh, $_) for (
                'UPDATE items SET price = price',
                "INSERT INTO items VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE price = price",
                'CREATE TEMPORARY TABLE informed AS SELECT * FROM numbers', 'ALTER TABLE informed ADD c INT',
                'DELETE FROM informed WHERE n > 990', 'INSERT INTO informed SELECT n, 1 FROM numbers WHERE n > 990',
                'SELECT SQL_CALC_FOUND_ROWS n FROM informed ORDER BY n LIMIT 1',
                'SELECT FOUND_ROWS(), ROW_COUNT()',
            );
        }
    },
);

sub load {
    my ($dbh, $path, $shown) = @_;
    my $done = $dbh->do("LOAD DATA LOCAL INFILE '$path' INTO TABLE scratch CHARACTER SET utf8mb4");
    out($shown, defined $done ? "loaded $done" : message($dbh) =~ s/\Q$path\E/$shown/gr, $dbh->{"${own}_info"} // '-');
}

my @order = qw(
    text prepared types parameters unbuffered blobs multi errors transactions commands local-infile local-infile-off
    bulk big-statement big-result compression kill warnings charsets info
);

for my $name (@names ? @names : @order) {
    out('==', $name);
    my $dbh = connect_now();
    $cases{$name}->($dbh);
    $dbh->disconnect;
}
