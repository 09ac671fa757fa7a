package postgres

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	connectWithin = 10 * time.Second
	// maxMessage is the longest message of a server that is read: none has more to say than an error.
	maxMessage = 1 << 20
	// maxAnswers is how much is read of one connection, whatever it is.
	maxAnswers = 4 << 20
)

// config is how a pool connects. It notes when a server floods a connection.
func (o Options) config(flooded *atomic.Bool) (*pgxpool.Config, error) {
	hosts, err := o.endpoints()
	if err != nil {
		return nil, sink.Because(sink.CredentialsMissing, err)
	}
	if o.User == "" || o.Database == "" {
		return nil, sink.Because(sink.CredentialsMissing, errors.New("neither the sink nor its Secret names a user and a database: both are needed"))
	}
	if strings.ContainsRune(o.User+o.Database+o.Password+o.Schema, 0) {
		return nil, sink.Because(sink.CredentialsMissing, errors.New("user, password, database and schema cannot hold the character NUL"))
	}
	config, err := blank()
	if err != nil {
		return nil, err
	}
	if err := o.dial(config.ConnConfig, hosts, flooded); err != nil {
		return nil, sink.Because(sink.CredentialsMissing, err)
	}
	// Nothing is prepared, so that a pooler may stand in between.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
	config.MaxConns, config.MinConns, config.MinIdleConns = 2, 0, 0
	config.MaxConnLifetime, config.MaxConnLifetimeJitter, config.MaxConnIdleTime = 30*time.Minute, 3*time.Minute, 5*time.Minute
	config.PingTimeout = 5 * time.Second
	config.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) { return !spent(c.PgConn().Conn()), nil }
	return config, nil
}

// dial fills in where to connect to, and as whom.
func (o Options) dial(c *pgx.ConnConfig, hosts []endpoint, flooded *atomic.Bool) error {
	fallbacks := make([]*pgconn.FallbackConfig, 0, len(hosts))
	for _, to := range hosts {
		encryption, err := o.encryption(to.host)
		if err != nil {
			return err
		}
		fallbacks = append(fallbacks, &pgconn.FallbackConfig{Host: to.host, Port: to.port, TLSConfig: encryption})
	}
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = fallbacks[0].Host, fallbacks[0].Port, fallbacks[0].TLSConfig, fallbacks[1:]
	c.Database, c.User, c.Password = o.Database, o.User, o.Password
	// A database may have another encoding than what is sent to it.
	c.RuntimeParams = map[string]string{"application_name": "dora-controller", "client_encoding": "UTF8"}
	c.MaxProtocolMessageBodyLen, c.ConnectTimeout = maxMessage, connectWithin
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" {
			return nil, errSocket
		}
		conn, err := o.Guard.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &metered{Conn: conn, flooded: flooded}, nil
	}
	// Nobody listens. Without these, pgx keeps notifications for whoever might.
	c.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	c.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
	// The guard looks names up itself, when it dials.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.ValidateConnect = nil
	if len(hosts) > 1 {
		c.ValidateConnect = takesWrites
	}
	if o.TLS == Disable || o.TLS == Require {
		c.RequireAuth = "!password" // whoever claims to be the server would be told the password
	}
	return nil
}

var (
	errSocket   = errors.New("a unix socket is no host: name a host or an address")
	errReadOnly = errors.New("it takes no writes, as a standby does")
)

// takesWrites is target_session_attrs=read-write.
func takesWrites(ctx context.Context, conn *pgconn.PgConn) error {
	err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, conn)
	if err != nil && err.Error() == "read only connection" {
		return errReadOnly
	}
	return err
}

// blank is a configuration that nothing outside has a part in. pgx makes one from a connection string alone, and fills in what that lacks
// from the environment and from files, so the string names everything that would be.
func blank() (*pgxpool.Config, error) {
	text := "host=127.0.0.1 port=5432 dbname=none user=none password=none passfile='' connect_timeout=10 target_session_attrs=any " +
		"sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslsni=1 sslcertmode=allow sslnegotiation=postgres " +
		"min_protocol_version=3.0 max_protocol_version=3.0 channel_binding=prefer require_auth=''"
	if os.Getenv("PGSERVICE") != "" { // there is no naming none of them, so this names one without settings
		empty, closing, err := emptyService()
		if err != nil {
			return nil, fmt.Errorf("cannot leave PGSERVICE aside: %w", err)
		}
		defer closing()
		text += " service=none servicefile=" + empty
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("cannot set up connections: %w", err)
	}
	return config, nil
}

// emptyService is the path of a service file, which is a pipe, whose service none has no settings.
func emptyService() (path string, closing func(), err error) {
	file, input, err := os.Pipe()
	if err != nil {
		return "", nil, err
	}
	_, err = input.WriteString("[none]\n")
	if err = errors.Join(err, input.Close()); err != nil {
		_ = file.Close()
		return "", nil, err
	}
	return fmt.Sprintf("/dev/fd/%d", file.Fd()), func() { _ = file.Close() }, nil
}

// endpoint is a server.
type endpoint struct {
	host string
	port uint16
}

// endpoints reads Host. What is wrong with it is not repeated, since it may come from a Secret.
func (o Options) endpoints() ([]endpoint, error) {
	var all []endpoint
	for one := range strings.SplitSeq(o.Host, ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			return nil, errors.New("neither the sink nor its Secret names a host, or one of several is empty")
		}
		host, port := one, strconv.Itoa(cmp.Or(o.Port, 5432))
		if h, p, err := net.SplitHostPort(one); err == nil {
			host, port = h, p
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return nil, errors.New("the port is no number from 1 to 65535")
		}
		if inner, found := strings.CutPrefix(host, "["); found && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		}
		if _, err := netip.ParseAddr(host); err != nil && !isName(host) {
			return nil, fmt.Errorf("the host is no name or address: %w", errSocket)
		}
		all = append(all, endpoint{host, uint16(number)})
	}
	return all, nil
}

// isName leaves it to resolvers to say what is a name, and refuses what is none to anybody.
func isName(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return strings.ContainsRune(`/\:@?[]`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

// encryption is how the connection to a host is encrypted; nil is not at all.
func (o Options) encryption(host string) (*tls.Config, error) {
	mode := cmp.Or(o.TLS, VerifyFull)
	if mode == Disable {
		return nil, nil
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if len(o.Cert) > 0 || len(o.Key) > 0 {
		pair, err := tls.X509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, errors.New("tls.crt and tls.key are not a certificate and its key in PEM form")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if mode == Require {
		c.InsecureSkipVerify = true
		return c, nil
	}
	roots, err := o.authorities()
	if err != nil {
		return nil, err
	}
	c.RootCAs = roots
	switch mode {
	case VerifyFull:
	case VerifyCA:
		// Go checks the name along with the rest, so the rest is checked here.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	case Require, Disable:
	default:
		return nil, errors.New("tls is none of VerifyFull, VerifyCA, Require and Disable")
	}
	return c, nil
}

// authorities are those to trust; nil are the system's.
func (o Options) authorities() (*x509.CertPool, error) {
	text, from := o.CA, "ca.crt"
	if len(text) == 0 {
		path := os.Getenv("PGSSLROOTCERT")
		if path == "" || path == "system" {
			return nil, nil
		}
		var err error
		if text, err = os.ReadFile(path); err != nil { //nolint:gosec // the administrator named it
			return nil, fmt.Errorf("cannot read the file that PGSSLROOTCERT of the controller names: %w", err)
		}
		from = "the file that PGSSLROOTCERT of the controller names"
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", from)
	}
	return pool, nil
}

// verifyChain checks that a certificate is of an authority, whatever its name.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		between.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}
