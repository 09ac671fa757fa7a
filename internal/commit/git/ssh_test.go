package git_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// sshServer is an ssh server that runs git's own upload-pack for one key.
type sshServer struct {
	address string
	host    ssh.Signer
	// key opens it, locked is the same with the passphrase s3cret.
	key, locked []byte
	// stall is called instead of running a command, if it is set.
	stall func()
}

func newKey(t *testing.T) (key ssh.Signer, plain, locked []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	lockedBlock, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(block), pem.EncodeToMemory(lockedBlock)
}

func serveSSH(t *testing.T, r *committest.Repo) *sshServer {
	t.Helper()
	s := &sshServer{}
	s.host, _, _ = newKey(t)
	client, plain, locked := newKey(t)
	s.key, s.locked = plain, locked
	config := &ssh.ServerConfig{PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if conn.User() != "git" || !bytes.Equal(key.Marshal(), client.PublicKey().Marshal()) {
			return nil, io.EOF
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(s.host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.address = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.talk(conn, config, r)
		}
	}()
	return s
}

func (s *sshServer) talk(raw net.Conn, config *ssh.ServerConfig, r *committest.Repo) {
	defer raw.Close()
	_, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for one := range channels {
		channel, requests, err := one.Accept()
		if err != nil {
			return
		}
		for req := range requests {
			var command struct{ Line string }
			if req.Type != "exec" || ssh.Unmarshal(req.Payload, &command) != nil {
				_ = req.Reply(false, nil)
				continue
			}
			_ = req.Reply(true, nil)
			s.run(channel, command.Line, r)
			_ = channel.Close()
		}
	}
}

// run runs the command as git-shell would.
func (s *sshServer) run(channel ssh.Channel, line string, r *committest.Repo) {
	if s.stall != nil {
		s.stall()
		_, _ = io.Copy(io.Discard, channel)
		return
	}
	path, ok := strings.CutPrefix(line, "git-upload-pack ")
	if path == "'/repo'" {
		path = r.Dir
	}
	if !ok {
		path = "nowhere"
	}
	cmd := exec.Command("git", "upload-pack", path)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(stdin, channel); _ = stdin.Close() }()
	status := []byte{0, 0, 0, 0}
	if err := cmd.Run(); err != nil {
		status[3] = 1
	}
	_, _ = channel.SendRequest("exit-status", false, status)
}

func (s *sshServer) at(path string) commit.Location {
	return commit.Location{URL: "ssh://git@" + s.address + path, Credentials: commit.Credentials{SSHKey: s.key, KnownHosts: s.known(s.host)}}
}

func (s *sshServer) known(key ssh.Signer) []byte {
	return []byte("# a comment\n" + knownhosts.Line([]string{s.address}, key.PublicKey()) + "\n")
}

func TestOverSSH(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Commit(committest.Commit{File: "other"})
	r.Tag("v1", "annotated")
	s := serveSSH(t, r)
	p := provider(t, git.Options{})
	one := opened(t, p, s.at("/repo"))
	if got, err := one.Range(t.Context(), base, head, commit.RangeOptions{}); got != r.Log(base, head, commit.RangeOptions{}) || err != nil {
		t.Errorf("got %+v and %v", got, err)
	}
	next := r.Commit(committest.Commit{File: "another"})
	r.Tag("v2", "")
	again := opened(t, p, s.at("/repo"))
	if got, err := again.Tag(t.Context(), "v2"); got != next || err != nil {
		t.Errorf("after a push: got %q and %v, want %s", got, err, next)
	}
	if got, err := again.Range(t.Context(), base, next, commit.RangeOptions{}); got.Commits != 2 || err != nil {
		t.Errorf("after a push: got %+v and %v, want 2 commits", got, err)
	}
	locked := s.at("/repo")
	locked.Credentials.SSHKey, locked.Credentials.SSHPassphrase = s.locked, []byte("s3cret")
	opened(t, p, locked)
}

func TestSSHThatIsRefused(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	s := serveSSH(t, r)
	other, otherKey, _ := newKey(t)
	for name, row := range map[string]struct {
		change func(*commit.Location)
		want   error
		words  string
	}{
		"a host key that is not the known one": {func(at *commit.Location) { at.Credentials.KnownHosts = s.known(other) }, commit.ErrUnauthorized, "is not the one in known_hosts"},
		"a host that is not known": {func(at *commit.Location) {
			at.Credentials.KnownHosts = []byte(knownhosts.Line([]string{"git.example.com"}, s.host.PublicKey()))
		}, commit.ErrUnauthorized, "no host key of"},
		"no known hosts":           {func(at *commit.Location) { at.Credentials.KnownHosts = []byte(" \n") }, commit.ErrUnauthorized, "needs known_hosts"},
		"known hosts like garbage": {func(at *commit.Location) { at.Credentials.KnownHosts = []byte("s3cret") }, commit.ErrUnauthorized, "known_hosts cannot be read"},
		"no key":                   {func(at *commit.Location) { at.Credentials.SSHKey = nil }, commit.ErrUnauthorized, "add sshPrivateKey"},
		"a key that is none":       {func(at *commit.Location) { at.Credentials.SSHKey = []byte("s3cret") }, commit.ErrUnauthorized, "key cannot be read"},
		"a locked key":             {func(at *commit.Location) { at.Credentials.SSHKey = s.locked }, commit.ErrUnauthorized, "add sshPassphrase"},
		"a wrong passphrase": {func(at *commit.Location) {
			at.Credentials.SSHKey, at.Credentials.SSHPassphrase = s.locked, []byte("s3cret!")
		}, commit.ErrUnauthorized, "look whether"},
		"a key of somebody else":       {func(at *commit.Location) { at.Credentials.SSHKey = otherKey }, commit.ErrUnauthorized, "refused the SSH key"},
		"a repository that is not":     {func(at *commit.Location) { at.URL += "s" }, commit.ErrNoRepository, "it says:"},
		"a path with a shell's quotes": {func(at *commit.Location) { at.URL += "';%20echo%20s" }, commit.ErrNoRepository, `repo'\''; echo s'`},
	} {
		t.Run(name, func(t *testing.T) {
			at := s.at("/repo")
			row.change(&at)
			folder := t.TempDir()
			_, err := provider(t, git.Options{Folder: folder}).Open(t.Context(), at)
			wantError(t, err, row.want, row.words)
			wantEmpty(t, folder)
		})
	}
	_, err := provider(t, git.Options{Guard: egress.Guard{Allowed: loopback().Allowed[1:]}}).Open(t.Context(), s.at("/repo"))
	wantError(t, err, egress.ErrRefused)
}

func TestAnSSHServerThatStallsIsLeftWhenTheContextEnds(t *testing.T) {
	r := committest.New(t)
	s := serveSSH(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	s.stall = cancel
	_, err := provider(t, git.Options{}).Open(ctx, s.at("/repo"))
	wantError(t, err, context.Canceled)

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		conn, err := silent.Accept()
		if err == nil {
			cancel()
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	s.address = silent.Addr().String()
	_, err = provider(t, git.Options{}).Open(ctx, s.at("/repo"))
	wantError(t, err, context.Canceled)
}
