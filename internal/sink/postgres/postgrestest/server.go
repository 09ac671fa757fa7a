// Package postgrestest runs a real PostgreSQL for tests, and breaks it on demand.
//
// The server lives on a temporary directory and a port of 127.0.0.1, is started by the first test of a process that asks for it, and serves
// all the others; each takes a database of its own. A test may also have a server of its own, with a standby that follows it. It ends with the process, even with one that is killed: a reaper waits for the end of a
// pipe that only the process holds open, stops the server and removes the directory. So nothing has to be done in a TestMain.
//
// Its clock is set to a time zone far from UTC, and it forgets everything in a power cut: fsync is off.
//
// hack/postgres.sh gets the programs. They are looked for in PG_BIN, where distributions put them, and in PATH.
package postgrestest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Host is the address that servers listen on, and the one that their certificate is for. localhost is the same server under a name that
// the certificate is not for.
const Host = "127.0.0.1"

// superuser is the role that sets things up. Its password is new with each server.
const superuser = "postgres"

// Within is how long anything may take that a test asks the server for.
const Within = time.Minute

// Server is a running PostgreSQL.
type Server struct {
	Port int
	// CA is the certificate, in PEM form, of the authority that the server's certificate is of.
	CA []byte

	programs string // the folder of initdb and the others
	home     string // what is removed in the end
	identity *syscall.Credential
	password string
	issuer   *authority

	// reaper is the end of the pipe that keeps the reaper waiting.
	reaper *os.File
	reaped chan struct{}

	mu        sync.Mutex
	databases int
}

// shared is never collected, and neither is the pipe of its reaper.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Start is the server of this process. The first call starts it, which takes some two seconds.
func Start(tb testing.TB) *Server {
	tb.Helper()
	shared.once.Do(func() { shared.server, shared.err = start() })
	if shared.err != nil {
		tb.Fatalf("cannot start PostgreSQL: %v", shared.err)
	}
	return shared.server
}

// New is a server of a test's own, which may be broken while others work with theirs. It ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s, err := start()
	if err != nil {
		tb.Fatalf("cannot start PostgreSQL: %v", err)
	}
	tb.Cleanup(func() { s.end(tb) })
	return s
}

// Standby is a copy of a server that follows it, and may be promoted. From then on the server acknowledges a commit only once the copy has it.
func (s *Server) Standby(tb testing.TB) *Server {
	tb.Helper()
	copied, err := prepare()
	if err != nil {
		tb.Fatalf("cannot start PostgreSQL: %v", err)
	}
	tb.Cleanup(func() { copied.end(tb) })
	copied.password, copied.issuer, copied.CA = s.password, s.issuer, s.CA
	for _, step := range []func() error{copied.own, copied.reap, func() error { return copied.follow(s) }, copied.certify, copied.configure, copied.startOnAFreePort} {
		if err := step(); err != nil {
			tb.Fatalf("cannot start a standby of PostgreSQL: %v", err)
		}
	}
	s.awaited(tb, "*")
	tb.Cleanup(func() { s.awaited(tb, "") }) // what is cleaned up later must not wait for who is gone
	return copied
}

// awaited says whose copy a commit waits for.
func (s *Server) awaited(tb testing.TB, standbys string) {
	tb.Helper()
	admin := s.Connect(tb, "postgres")
	Exec(tb, admin, "ALTER SYSTEM SET synchronous_standby_names = "+literal(standbys))
	Exec(tb, admin, "SELECT pg_reload_conf()")
	s.await(tb, "synchronous_standby_names", standbys)
}

// follow copies a server, so that this one begins as its standby.
func (s *Server) follow(primary *Server) error {
	if err := s.write("pgpass", []byte("*:*:*:"+superuser+":"+s.password+"\n")); err != nil {
		return err
	}
	from := fmt.Sprintf("host=%s port=%d user=%s passfile=%s application_name=standby", Host, primary.Port, superuser, filepath.Join(s.home, "pgpass"))
	return s.run("pg_basebackup", "--pgdata", s.data(), "--dbname", from, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
}

// Promote makes a standby take writes, as when the server that it follows is gone.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	if err := s.run("pg_ctl", "promote", "--wait", "--silent", "--pgdata", s.data()); err != nil {
		tb.Fatalf("cannot promote a standby of PostgreSQL: %v", err)
	}
}

// end has the reaper do its work, and waits for it.
func (s *Server) end(tb testing.TB) {
	tb.Helper()
	if err := s.reaper.Close(); err != nil {
		tb.Errorf("cannot end PostgreSQL: %v", err)
	}
	<-s.reaped
}

func start() (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{s.own, s.reap, s.initialise, s.certify, s.configure, s.startOnAFreePort} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// prepare finds what a server needs, and makes its directory.
func prepare() (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	identity, err := unprivileged()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "postgrestest-")
	if err != nil {
		return nil, err
	}
	return &Server{programs: programs, home: home, identity: identity, password: rand.Text(), reaped: make(chan struct{})}, nil
}

// findPrograms looks where hack/postgres.sh does.
func findPrograms() (string, error) {
	var folders []string
	if named := os.Getenv("PG_BIN"); named != "" {
		folders = []string{named}
	} else {
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
			found, _ := filepath.Glob(pattern)
			slices.Reverse(found)
			folders = append(folders, found...)
		}
		if initdb, err := exec.LookPath("initdb"); err == nil {
			folders = append(folders, filepath.Dir(initdb))
		}
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "pg_ctl")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("there is no server on this machine: hack/postgres.sh gets one")
}

// unprivileged is whom the server runs as: it refuses to run as root. Nil is whoever runs the test.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")
}

// own gives the directory to whom the server runs as.
func (s *Server) own() error {
	if s.identity == nil {
		return nil
	}
	return os.Chown(s.home, int(s.identity.Uid), int(s.identity.Gid))
}

// reaper waits until the process that started it has ended, however it did, and leaves nothing behind.
const reaper = `
cat >/dev/null
if read -r pid 2>/dev/null <"$1/data/postmaster.pid"; then
  kill -QUIT "$pid" 2>/dev/null
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
fi
rm -rf "$1"
`

// reap starts the reaper. Nobody else holds the other end of its input, so it ends with this process and never before.
func (s *Server) reap() error {
	input, kept, err := os.Pipe()
	if err != nil {
		return err
	}
	s.reaper = kept
	cmd := s.command("/bin/sh", "-c", reaper, "reaper", s.home)
	cmd.Stdin = input
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(s.reaped)
	}()
	return input.Close()
}

// command is a program that runs as the server does, apart from the terminal, so that Ctrl-C leaves the end to the reaper.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.identity}
	return cmd
}

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(program string, args ...string) error {
	// A file, since the server that pg_ctl starts inherits the output, and a pipe would wait for its end.
	output, err := os.Create(filepath.Join(s.home, program+".out"))
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }()
	cmd := s.command(filepath.Join(s.programs, program), args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name())
		logged, _ := os.ReadFile(s.log())
		return fmt.Errorf("%s: %w\n%s\n%s", program, err, bytes.TrimSpace(said), bytes.TrimSpace(logged))
	}
	return nil
}

// Programs is the folder of psql, pg_dump and the others.
func (s *Server) Programs() string { return s.programs }

// Home is the directory of the server and its certificates.
func (s *Server) Home() string { return s.home }

func (s *Server) data() string { return filepath.Join(s.home, "data") }

func (s *Server) log() string { return filepath.Join(s.home, "log") }

// write writes a file that is the server's alone.
func (s *Server) write(name string, content []byte) error {
	path := filepath.Join(s.home, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	if s.identity == nil {
		return nil
	}
	return os.Chown(path, int(s.identity.Uid), int(s.identity.Gid))
}

func (s *Server) initialise() error {
	if err := s.write("password", []byte(s.password)); err != nil {
		return err
	}
	return s.run("initdb", "--pgdata", s.data(), "--username", superuser, "--pwfile", filepath.Join(s.home, "password"),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
}

// Certificate is the group whose members sign in with a client certificate of the server's authority and nothing else.
const Certificate = "by_certificate"

// Encrypted is the group whose members the server takes on encrypted connections alone.
const Encrypted = "encrypted"

func (s *Server) configure() error {
	const everyone, network = "all", " " + Host + "/32 "
	rules := "host replication " + superuser + network + "scram-sha-256\n" +
		"hostssl all +" + Certificate + network + "cert\n" +
		"hostnossl all +" + Encrypted + network + "reject\n" +
		"host all " + everyone + network + "scram-sha-256\n"
	if err := s.write("data/pg_hba.conf", []byte(rules)); err != nil {
		return err
	}
	settings := map[string]string{
		"listen_addresses": Host, "unix_socket_directories": "", "max_connections": "60", "timezone": "America/New_York",
		"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "shared_buffers": "64MB",
		"ssl": "on", "ssl_cert_file": s.home + "/server.crt", "ssl_key_file": s.home + "/server.key", "ssl_ca_file": s.home + "/ca.crt",
	}
	var lines strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, value)
	}
	return s.write("data/postgresql.conf", []byte(lines.String()))
}

// startOnAFreePort tries a few ports: between finding that one is free and taking it, somebody else may. They are below those that the
// system gives to outgoing connections, so that the port is still free when the server is stopped and started again.
func (s *Server) startOnAFreePort() error {
	err := errors.New("no port is free")
	for range 20 {
		s.Port = 15_000 + int(rand.Text()[0])*64 + int(rand.Text()[0])
		listener, taken := net.Listen("tcp", s.address())
		if taken != nil {
			continue
		}
		if err = listener.Close(); err == nil {
			err = s.up()
		}
		if err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) address() string { return net.JoinHostPort(Host, strconv.Itoa(s.Port)) }

func (s *Server) up() error {
	return s.run("pg_ctl", "start", "--wait", "--silent", "--pgdata", s.data(), "--log", s.log(), "--options", "-p "+strconv.Itoa(s.Port))
}

func (s *Server) down(mode string) error {
	return s.run("pg_ctl", "stop", "--wait", "--silent", "--pgdata", s.data(), "--mode", mode)
}

// running tells whether the server is up.
func (s *Server) running() bool {
	_, err := os.Stat(filepath.Join(s.data(), "postmaster.pid"))
	return err == nil
}

// Stop stops the server, as for an upgrade: connections are ended with a word. It is started again when the test ends.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.stop(tb, "fast")
}

// Crash stops the server as if it had crashed: connections break off, and what was not committed is lost.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	s.stop(tb, "immediate")
}

func (s *Server) stop(tb testing.TB, mode string) {
	tb.Helper()
	tb.Cleanup(func() { s.Start(tb) })
	if err := s.down(mode); err != nil {
		tb.Fatalf("cannot stop PostgreSQL: %v", err)
	}
}

// Start starts a server that was stopped, where it was. It does nothing if it is running.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if s.running() {
		return
	}
	if err := s.up(); err != nil {
		tb.Fatalf("cannot start PostgreSQL again: %v", err)
	}
}

// ReadOnly makes the server refuse writes, as a standby does, on the connections that are open too; false makes it take them again.
func (s *Server) ReadOnly(tb testing.TB, on bool) {
	tb.Helper()
	conn := s.Connect(tb, "postgres")
	value := "off"
	if on {
		value = "on"
		tb.Cleanup(func() { s.ReadOnly(tb, false) })
	}
	Exec(tb, conn, "ALTER SYSTEM SET default_transaction_read_only = "+value)
	Exec(tb, conn, "SELECT pg_reload_conf()")
	s.await(tb, "default_transaction_read_only", value)
}

// await waits until new connections have a setting. The server has told it to the open ones by then.
func (s *Server) await(tb testing.TB, name, value string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Within)
	defer cancel()
	for ctx.Err() == nil {
		conn, err := s.connect(ctx, "postgres", nil)
		if err != nil {
			tb.Fatalf("cannot connect to PostgreSQL: %v", err)
		}
		var got string
		err = conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&got)
		_ = conn.Close(ctx)
		if err == nil && got == value {
			return
		}
	}
	tb.Fatalf("%s is not %s after %s", name, value, Within)
}

// Connect connects as the superuser, until the test ends. It may write while the server is read-only, and its times are UTC.
func (s *Server) Connect(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Within)
	defer cancel()
	conn, err := s.connect(ctx, database, map[string]string{"default_transaction_read_only": "off", "timezone": "UTC", "client_encoding": "UTF8"})
	if err != nil {
		tb.Fatalf("cannot connect to PostgreSQL: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *Server) connect(ctx context.Context, database string, settings map[string]string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=%s user=%s password=%s sslmode=disable",
		Host, s.Port, database, superuser, s.password))
	if err != nil {
		return nil, err
	}
	maps.Copy(config.RuntimeParams, settings)
	return pgx.ConnectConfig(ctx, config)
}

// Exec runs a statement that has to succeed.
func Exec(tb testing.TB, conn *pgx.Conn, statement string, args ...any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Within)
	defer cancel()
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// Psql runs psql as the superuser on a script. It stops at the first error, which fails the test, and returns what was printed.
func (s *Server) Psql(tb testing.TB, database, script string) string {
	tb.Helper()
	cmd := s.command(filepath.Join(s.programs, "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", "-",
		"--host", Host, "--port", strconv.Itoa(s.Port), "--username", superuser, "--dbname", database)
	cmd.Env = append(cmd.Env, "PGPASSWORD="+s.password, "PGCONNECT_TIMEOUT=10")
	cmd.Stdin = strings.NewReader(script)
	output, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("psql: %v\n%s", err, output)
	}
	return string(output)
}
