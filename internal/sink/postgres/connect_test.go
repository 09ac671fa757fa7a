package postgres_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// impostor is a server that wants to be told passwords.
type impostor struct {
	net.Listener

	mu    sync.Mutex
	heard bytes.Buffer
}

// listen answers each connection with what talk says.
func listen(t *testing.T, talk func(backend *pgproto3.Backend, conn io.Writer)) *impostor {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	i := &impostor{Listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go i.serve(conn, talk)
		}
	}()
	return i
}

func (i *impostor) serve(conn net.Conn, talk func(backend *pgproto3.Backend, conn io.Writer)) {
	defer func() { _ = conn.Close() }()
	backend := pgproto3.NewBackend(io.TeeReader(conn, i), conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	talk(backend, conn)
	_, _ = io.Copy(i, conn)
}

// Write keeps what is heard.
func (i *impostor) Write(b []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.heard.Write(b)
}

func (i *impostor) said() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.heard.String()
}

func (i *impostor) port() int { return i.Addr().(*net.TCPAddr).Port }

func cleartext(backend *pgproto3.Backend, _ io.Writer) {
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	_ = backend.Flush()
	_, _ = backend.Receive()
}

func TestNothingComesFromTheEnvironment(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	password := o.Password
	trap := listen(t, cleartext)
	home := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(home, name)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		return path
	}
	pass := write(".pgpass", "*:*:*:*:"+strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(password)+"\n")
	service := write(".pg_service.conf", fmt.Sprintf("[hostile]\nhost=127.0.0.1\nport=%d\nsslmode=disable\npool_max_conns=0\nsearch_path=hostile\n", trap.port()))
	write(".postgresql/root.crt", "no certificate")
	write(".postgresql/postgresql.crt", "no certificate")
	write(".postgresql/postgresql.key", "no key")
	for name, value := range map[string]string{
		"HOME": home, "PGHOST": "127.0.0.1", "PGHOSTADDR": "127.0.0.1", "PGPORT": strconv.Itoa(trap.port()), "PGDATABASE": "hostile", "PGUSER": "hostile",
		"PGPASSWORD": password, "PGPASSFILE": pass, "PGSERVICE": "hostile", "PGSERVICEFILE": service, "PGSSLMODE": "nonsense",
		"PGSSLCERT": "/nowhere", "PGSSLKEY": "/nowhere", "PGSSLCERTMODE": "require", "PGSSLNEGOTIATION": "direct", "PGSSLSNI": "0",
		"PGSSLPASSWORD": "x", "PGOPTIONS": "-c search_path=hostile", "PGAPPNAME": "hostile", "PGTZ": "Mars/Phobos", "PGCONNECT_TIMEOUT": "never",
		"PGTARGETSESSIONATTRS": "standby", "PGMINPROTOCOLVERSION": "9.9", "PGMAXPROTOCOLVERSION": "1.0", "PGCHANNELBINDING": "require", "PGREQUIREAUTH": "none",
		"DATABASE_URL": fmt.Sprintf("postgres://127.0.0.1:%d/hostile", trap.port()),
	} {
		t.Setenv(name, value)
	}
	send(t, open(t, o), sinktest.Events()...)
	g.Expect(ids(t, conn)).To(HaveLen(6))
	g.Expect(one[string](t, conn, "SELECT application_name FROM pg_stat_activity WHERE usename = $1 LIMIT 1", o.User)).To(Equal("dora-controller"))

	o.Password = ""
	refusal(t, open(t, o), sink.CredentialsRefused, "password authentication failed")
	g.Expect(trap.said()).To(BeEmpty(), "nobody asked the server that the environment names")
	for _, lacking := range []func(o *postgres.Options){
		func(o *postgres.Options) { o.Host = "" }, func(o *postgres.Options) { o.User = "" }, func(o *postgres.Options) { o.Database = "" },
	} {
		bad := o
		lacking(&bad)
		_, err := postgres.New(bad)
		g.Expect(sink.ReasonOf(err)).To(Equal(sink.CredentialsMissing))
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	server := postgrestest.Start(t)
	good := options(server, postgrestest.Database{Host: "db.example.com", Name: "dora", User: "dora", Password: postgrestest.Password()})
	cert, key := server.ClientCertificate(t, "dora")
	for name, change := range map[string]func(o *postgres.Options){
		"a unix socket":                    func(o *postgres.Options) { o.Host = "/var/run/postgresql" },
		"a unix socket of Windows":         func(o *postgres.Options) { o.Host = `C:\pg` },
		"an abstract unix socket":          func(o *postgres.Options) { o.Host = "@pg" },
		"a unix socket as the second host": func(o *postgres.Options) { o.Host = "db,/var/run/postgresql" },
		"an address with credentials":      func(o *postgres.Options) { o.Host = "postgres://u:" + o.Password + "@db" },
		"an empty host":                    func(o *postgres.Options) { o.Host = "db,,db2" },
		"a port that is none":              func(o *postgres.Options) { o.Host = "db:x" + o.Password },
		"a port that is too large":         func(o *postgres.Options) { o.Port = 65536 },
		"a port below zero":                func(o *postgres.Options) { o.Port = -1 },
		"NUL in the user":                  func(o *postgres.Options) { o.User = "a\x00b" },
		"authorities that are none":        func(o *postgres.Options) { o.CA = []byte(o.Password) },
		"a certificate without its key":    func(o *postgres.Options) { o.Cert = cert },
		"a key that is none":               func(o *postgres.Options) { o.Cert, o.Key = cert, []byte(o.Password) },
		"a key of another":                 func(o *postgres.Options) { o.Cert, o.Key = cert, append([]byte(o.Password), key[:20]...) },
		"another way to encrypt":           func(o *postgres.Options) { o.TLS = "Maybe" },
	} {
		o := good
		change(&o)
		_, err := postgres.New(o)
		NewWithT(t).Expect(err).To(HaveOccurred(), name)
		NewWithT(t).Expect(sink.ReasonOf(err)).To(Equal(sink.CredentialsMissing), name)
		sinktest.KeepsSecrets(t, err, o.Password, "u:")
	}
	for _, host := range []string{"db", "db:6432", "db,db2:6432", " db , db2 ", "::1", "[::1]", "[::1]:6432", "10.0.0.1:1"} {
		o := good
		o.Host = host
		s, err := postgres.New(o)
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), host)
		s.Close()
	}
}

func TestEncryption(t *testing.T) {
	server := postgrestest.Start(t)
	other := postgrestest.OtherCA(t)
	for name, c := range map[string]struct {
		mode   postgres.TLS
		ca     []byte
		host   string
		plain  bool
		refuse sink.Reason
	}{
		"VerifyFull takes the certificate of that host":   {mode: postgres.VerifyFull, ca: server.CA, host: postgrestest.Host},
		"VerifyFull is what holds if nothing is said":     {ca: server.CA, host: "localhost", refuse: sink.CertificateRefused},
		"VerifyFull refuses that of another host":         {mode: postgres.VerifyFull, ca: server.CA, host: "localhost", refuse: sink.CertificateRefused},
		"VerifyFull refuses another authority":            {mode: postgres.VerifyFull, ca: other, host: postgrestest.Host, refuse: sink.CertificateRefused},
		"VerifyFull trusts the system's, if no other":     {mode: postgres.VerifyFull, host: postgrestest.Host, refuse: sink.CertificateRefused},
		"VerifyCA takes any certificate of the authority": {mode: postgres.VerifyCA, ca: server.CA, host: "localhost"},
		"VerifyCA refuses another authority":              {mode: postgres.VerifyCA, ca: other, host: postgrestest.Host, refuse: sink.CertificateRefused},
		"VerifyCA trusts the system's, if no other":       {mode: postgres.VerifyCA, host: postgrestest.Host, refuse: sink.CertificateRefused},
		"Require takes whatever certificate":              {mode: postgres.Require, host: "localhost"},
		"Disable encrypts nothing":                        {mode: postgres.Disable, host: postgrestest.Host, plain: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := server.Database(t)
			o := options(server, d)
			o.TLS, o.CA, o.Host = c.mode, c.ca, c.host
			s := open(t, o)
			if c.refuse != "" {
				refusal(t, s, c.refuse, "certificate")
				return
			}
			send(t, s, sinktest.Events()...)
			encrypted := one[bool](t, server.Connect(t, d.Name), `SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = $1`, d.User)
			NewWithT(t).Expect(encrypted).To(Equal(!c.plain))
		})
	}
}

func TestTheAuthoritiesOfTheEnvironment(t *testing.T) {
	server, o, _ := fresh(t)
	path := filepath.Join(t.TempDir(), "ca.crt")
	NewWithT(t).Expect(os.WriteFile(path, server.CA, 0o600)).To(Succeed())
	t.Setenv("PGSSLROOTCERT", path)
	o.CA = nil
	send(t, open(t, o), sinktest.Events()...)
	o.CA = postgrestest.OtherCA(t)
	refusal(t, open(t, o), sink.CertificateRefused, "certificate")
	o.CA = nil
	t.Setenv("PGSSLROOTCERT", "system")
	refusal(t, open(t, o), sink.CertificateRefused, "certificate")
	t.Setenv("PGSSLROOTCERT", "/nowhere")
	_, err := postgres.New(o)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("PGSSLROOTCERT")))
}

func TestAClientCertificate(t *testing.T) {
	server, o, conn := fresh(t)
	postgrestest.Exec(t, conn, fmt.Sprintf("DO $$ BEGIN CREATE ROLE %[1]s; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT %[1]s TO %[2]s",
		postgrestest.Certificate, o.User))
	refusal(t, open(t, o), sink.CredentialsRefused, "connection requires a valid client certificate (SQLSTATE 28000)")
	o.Password = ""
	o.Cert, o.Key = server.ClientCertificate(t, "somebody")
	refusal(t, open(t, o), sink.CredentialsRefused, "certificate authentication failed for user")
	o.Cert, o.Key = server.ClientCertificate(t, o.User)
	send(t, open(t, o), sinktest.Events()...)
}

func TestWhoIsRefused(t *testing.T) {
	server, o, _ := fresh(t)
	wrong := o
	wrong.Password = sinktest.Secret("wrong")
	refusal(t, open(t, wrong), sink.CredentialsRefused, "password authentication failed for user")
	wrong = o
	wrong.User = "nobody"
	refusal(t, open(t, wrong), sink.CredentialsRefused, "password authentication failed for user")
	wrong = o
	wrong.Database = "nowhere"
	refusal(t, open(t, wrong), sink.SchemaTooOld, `database "nowhere" does not exist (SQLSTATE 3D000); an administrator makes it`)
	wrong = o
	wrong.User, wrong.TLS = server.Role(t, o.Database+"_encrypted", postgrestest.Encrypted), postgres.Disable
	refusal(t, open(t, wrong), sink.CredentialsRefused, "no encryption (SQLSTATE 28000)")
	wrong = o
	wrong.Guard = egress.Guard{}
	refusal(t, open(t, wrong), sink.AddressRefused, "--allow-networks")
	wrong = o
	wrong.Host = "nowhere.invalid"
	refusal(t, open(t, wrong), sink.Unreachable, "nowhere.invalid")
}

func TestTheFirstOfSeveralHostsThatAnswers(t *testing.T) {
	g := NewWithT(t)
	_, o, conn := fresh(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(closed.Close()).To(Succeed())
	o.Host = fmt.Sprintf("%s,127.0.0.1", closed.Addr())
	send(t, open(t, o), sinktest.Events()...)
	g.Expect(ids(t, conn)).To(HaveLen(6))
}

func TestWhatAnImpostorIsTold(t *testing.T) {
	g := NewWithT(t)
	_, o, _ := fresh(t)
	o.TLS = postgres.Disable
	trap := listen(t, cleartext)
	o.Port = trap.port()
	refusal(t, open(t, o), sink.Unreachable, "cannot reach the database")
	g.Expect(trap.said()).To(ContainSubstring(o.User))
	g.Expect(trap.said()).NotTo(ContainSubstring(o.Password), "without a certificate the server may be anybody")

	parrot := listen(t, func(backend *pgproto3.Backend, _ io.Writer) {
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: strings.Join([]string{
			"you said", o.Password, url.QueryEscape(o.Password), url.PathEscape(o.Password), fmt.Sprintf("%x", o.Password), "\x1b[31m", strings.Repeat("x", 1000),
		}, " "), Detail: o.Password, Hint: o.Password})
		_ = backend.Flush()
	})
	o.Port = parrot.port()
	err := open(t, o).Check(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("the server says: (an answer that repeats a credential) (SQLSTATE 28P01)")))
	sinktest.KeepsSecrets(t, err, o.Password, url.QueryEscape(o.Password), url.PathEscape(o.Password))

	odd := listen(t, func(backend *pgproto3.Backend, _ io.Writer) {
		backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Message: "no code"})
		_ = backend.Flush()
	})
	o.Port = odd.port()
	refusal(t, open(t, o), sink.Failing, "no code")

	plain := listen(t, func(_ *pgproto3.Backend, conn io.Writer) { _, _ = conn.Write([]byte("N")) })
	o.Port, o.TLS = plain.port(), postgres.Require
	refusal(t, open(t, o), sink.CertificateRefused, "server refused TLS connection")
	g.Expect(plain.said()).NotTo(ContainSubstring(o.User), "nothing is said before the connection is encrypted")
}
