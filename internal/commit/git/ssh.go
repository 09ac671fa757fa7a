package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/go-git/go-git/v6/plumbing/transport"
	"github.com/go-git/go-git/v6/plumbing/transport/ssh/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// overSSH runs git's upload-pack on a server. Go-git's own ssh transport is not used: it reads this machine's ssh configuration, its
// handshake does not end with the context, and it keeps whatever the server writes to its standard error.
func (p *Provider) overSSH(ctx context.Context, u *url.URL, c commit.Credentials) (remote, error) {
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "22")
	}
	config, err := p.sshConfig(u.User.Username(), host, c)
	if err != nil {
		return nil, err
	}
	raw, err := p.o.Guard.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, explain(u.Host, c, err)
	}
	// Whatever waits for the server stops waiting when the context ends.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	command := &sshCommand{raw: raw}
	err = command.start(config, host, u.Path)
	var connected transport.Session
	if err == nil {
		connected, err = transport.NewStreamSession(command, transport.UploadPackService)
	}
	if err != nil {
		stop()
		_ = command.Close()
		return nil, command.explain(ctx, u.Host, c, err)
	}
	explained := func(ctx context.Context, err error) error { return command.explain(ctx, u.Host, c, err) }
	return &session{Session: connected, explain: explained, quote: c.Quote, end: func() { stop() }}, nil
}

func (p *Provider) sshConfig(user, host string, c commit.Credentials) (*ssh.ClientConfig, error) {
	if len(c.SSHKey) == 0 {
		return nil, refuse(commit.ErrUnauthorized, "an ssh:// address needs a key: add sshPrivateKey and known_hosts to the Secret")
	}
	known, err := p.knownHosts(c.KnownHosts)
	if err != nil {
		return nil, err
	}
	key, err := privateKey(c)
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyAlgorithms: known.HostKeyAlgorithms(host),
		HostKeyCallback: func(name string, at net.Addr, key ssh.PublicKey) error {
			return hostKeyError(name, known.HostKeyCallback()(name, at, key))
		},
	}, nil
}

func hostKeyError(host string, err error) error {
	switch {
	case err == nil:
		return nil
	case knownhosts.IsHostKeyChanged(err):
		return refuse(commit.ErrUnauthorized, "the host key of %s is not the one in known_hosts: if it was changed on purpose, put the new one there", host)
	}
	return refuse(commit.ErrUnauthorized, "no host key of %s in known_hosts: add what ssh-keyscan prints for it, after you have checked it", host)
}

// knownHosts reads host keys. The only reader of that format wants a file.
func (p *Provider) knownHosts(lines []byte) (*knownhosts.HostKeyDB, error) {
	if len(bytes.TrimSpace(lines)) == 0 {
		return nil, refuse(commit.ErrUnauthorized, "an ssh:// address needs known_hosts: add the server's host keys to the Secret, as ssh-keyscan prints them")
	}
	file, err := os.CreateTemp(p.o.Folder, temporary)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(lines)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	known, err := knownhosts.NewDB(file.Name())
	if err != nil {
		return nil, refuse(commit.ErrUnauthorized, "known_hosts cannot be read: it has a host, a key's type and a key in each line, as ssh-keyscan prints them")
	}
	return known, nil
}

func privateKey(c commit.Credentials) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(c.SSHKey)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		if len(c.SSHPassphrase) == 0 {
			return nil, refuse(commit.ErrUnauthorized, "the SSH key is locked: add sshPassphrase to the Secret")
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(c.SSHKey, c.SSHPassphrase)
	}
	if err != nil {
		return nil, refuse(commit.ErrUnauthorized, "the SSH key cannot be read: look whether it is a private key in OpenSSH or PEM form, and at sshPassphrase")
	}
	return key, nil
}

// sshCommand is upload-pack on a server. It implements go-git's transport.Conn.
type sshCommand struct {
	raw      net.Conn
	client   *ssh.Client
	stdin    io.WriteCloser
	stdout   io.Reader
	problems problems
}

func (s *sshCommand) start(config *ssh.ClientConfig, host, path string) error {
	conn, channels, requests, err := ssh.NewClientConn(s.raw, host, config)
	if err != nil {
		return err
	}
	s.client = ssh.NewClient(conn, channels, requests)
	run, err := s.client.NewSession()
	if err != nil {
		return err
	}
	run.Stderr = &s.problems
	if s.stdin, err = run.StdinPipe(); err != nil {
		return err
	}
	if s.stdout, err = run.StdoutPipe(); err != nil {
		return err
	}
	s.stdout = advertisedBy(s.stdout)
	return run.Start(transport.UploadPackService + " " + quoted(path))
}

// quoted is a word for the server's shell.
func quoted(word string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(word) + "'"
}

func (s *sshCommand) Reader() io.Reader      { return s.stdout }
func (s *sshCommand) Writer() io.WriteCloser { return s.stdin }

func (s *sshCommand) Close() error {
	if s.client != nil {
		_ = s.client.Close()
	}
	_ = s.raw.Close()
	return nil
}

// explain says why a server that speaks ssh could not be asked.
func (s *sshCommand) explain(ctx context.Context, host string, c commit.Credentials, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused
	}
	if strings.Contains(err.Error(), "unable to authenticate") {
		return refuse(commit.ErrUnauthorized, "%s refused the SSH key: look at the Secret, and whether the server knows the key", host)
	}
	if said := s.problems.String(); said != "" {
		return refuse(commit.ErrNoRepository, "%s has no such repository, or does not show it to this key; it says: %s", host, c.Quote(said))
	}
	return explain(host, c, err)
}

// problems keeps the beginning of what a command writes to its standard error.
type problems struct {
	mu   sync.Mutex
	text []byte
}

const mostProblems = 1024

func (p *problems) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, b[:min(len(b), mostProblems-len(p.text))]...)
	return len(b), nil
}

func (p *problems) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}
