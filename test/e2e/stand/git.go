package stand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Git is a git server for http, with git's own http-backend, and the repositories behind it.
type Git struct {
	// URL is what the repositories' names are appended to.
	URL string

	folder string
	server *http.Server
}

// startGit serves the repositories of a folder.
func (s *Stand) startGit(ctx context.Context) error {
	folder := s.file("git")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	programs, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return fmt.Errorf("cannot find git: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot serve git: %w", err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"), Dir: folder,
		Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null"},
		// Without it a client that asks for protocol 2 gets protocol 0, which knows no filters.
		InheritEnv: []string{"PATH"},
	}
	protocol := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := *backend
		one.Env = append(slices.Clip(one.Env), "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
		one.ServeHTTP(w, r)
	})
	s.Git = &Git{URL: "http://" + listener.Addr().String(), folder: folder, server: &http.Server{Handler: protocol, ReadHeaderTimeout: time.Minute}}
	go func() { _ = s.Git.server.Serve(listener) }() // it ends when it is closed
	return nil
}

func (g *Git) stop() {
	if g.server != nil { // else it is another process's
		_ = g.server.Close()
	}
}

// Repository is one that the stand serves.
type Repository struct {
	// URL is where it is served.
	URL string

	git    *Git
	folder string
	mu     sync.Mutex
}

// Make makes an empty repository.
func (g *Git) Make(ctx context.Context, name string) (*Repository, error) {
	r := &Repository{URL: g.URL + "/" + name + "/.git", git: g, folder: filepath.Join(g.folder, filepath.FromSlash(name))}
	if err := os.MkdirAll(r.folder, 0o750); err != nil {
		return nil, err
	}
	_, err := r.run(ctx, nil, "init", "--quiet", "--initial-branch=main")
	if err == nil {
		_, err = r.run(ctx, nil, "config", "uploadpack.allowFilter", "true")
	}
	return r, err
}

// Commit writes these files, an empty one meaning that it goes, and commits them at that time. It returns the SHA.
func (r *Repository) Commit(ctx context.Context, message string, at time.Time, files map[string]string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, content := range files {
		if err := r.write(name, content); err != nil {
			return "", err
		}
	}
	if _, err := r.run(ctx, nil, "add", "--all"); err != nil {
		return "", err
	}
	date := at.UTC().Format(time.RFC3339)
	stamp := []string{
		"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date, "GIT_AUTHOR_NAME=Ada", "GIT_COMMITTER_NAME=Ada",
		"GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_EMAIL=ada@example.com",
	}
	if _, err := r.run(ctx, stamp, "commit", "--quiet", "--allow-empty", "--message", message); err != nil {
		return "", err
	}
	sha, err := r.run(ctx, nil, "rev-parse", "HEAD")
	return strings.TrimSpace(sha), err
}

func (r *Repository) write(name, content string) error {
	path := filepath.Join(r.folder, filepath.FromSlash(name))
	if content == "" {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

func (r *Repository) run(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.folder
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return string(out), nil
}
