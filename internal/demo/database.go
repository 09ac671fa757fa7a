package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// database is a PostgreSQL server of its own, on a free local port, that is gone with the demo.
type database struct {
	programs, folder, password string
	port                       int
	user                       *syscall.Credential
	server                     *exec.Cmd
}

// role is the superuser, and the database, of the demo.
const role = "dora"

// postgresFolders are where distributions put the server's programs.
var postgresFolders = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"}

// findPostgres is the folder of a PostgreSQL server's programs; empty if there is none here.
func findPostgres() string {
	var found []string
	for _, pattern := range postgresFolders {
		folders, _ := filepath.Glob(pattern)
		found = append(found, folders...)
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		found = append(found, filepath.Dir(initdb))
	}
	i := slices.IndexFunc(found, func(folder string) bool {
		_, server := os.Stat(filepath.Join(folder, "postgres"))
		_, shell := os.Stat(filepath.Join(folder, "psql"))
		return server == nil && shell == nil
	})
	if i < 0 {
		return ""
	}
	return found[i]
}

// startDatabase starts a server.
func startDatabase(ctx context.Context, programs string) (d *database, err error) {
	d = &database{programs: programs, password: rand.Text()}
	within := ""
	if os.Geteuid() == 0 {
		within = "/tmp" // whoever it is made to run as has to be able to get there
	}
	if d.folder, err = os.MkdirTemp(within, "dora-demo-postgres-"); err != nil {
		return nil, fmt.Errorf("cannot make a folder: %w", err)
	}
	if err = d.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start PostgreSQL: %w", err), d.stop())
	}
	return d, nil
}

func (d *database) start(ctx context.Context) error {
	secret := filepath.Join(d.folder, "password")
	if err := os.WriteFile(secret, []byte(d.password), 0o600); err != nil {
		return err
	}
	if err := d.drop(secret); err != nil {
		return err
	}
	data := filepath.Join(d.folder, "data")
	if err := d.command(ctx, "initdb", "--pgdata", data, "--username", role, "--pwfile", secret, "--auth", "scram-sha-256", "--no-sync").Run(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.port = free.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on tcp
	if err := free.Close(); err != nil {
		return err
	}
	d.server = d.command(context.WithoutCancel(ctx), "postgres", "-D", data, "-p", strconv.Itoa(d.port), "-k", d.folder,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
	if err := d.server.Start(); err != nil {
		return err
	}
	return until(ctx, settle, "PostgreSQL does not answer", func(ctx context.Context) (bool, error) {
		_, err := d.ask(ctx, "postgres", "CREATE DATABASE "+role)
		return err == nil, nil
	})
}

// drop gives the folder to a user without rights, since a server refuses to be root's.
func (d *database) drop(files ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		known, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(known.Uid)
		gid, errGID := strconv.Atoi(known.Gid)
		if err := errors.Join(errUID, errGID); err != nil {
			return err
		}
		d.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids of this system fit
		var failed error
		for _, file := range append(files, d.folder) {
			failed = errors.Join(failed, os.Chown(file, uid, gid))
		}
		return failed
	}
	return errors.New("there is no user that it could run as: start the demo as somebody else than root")
}

func (d *database) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.programs, program), args...) //nolint:gosec // a program of the system
	cmd.Dir = d.folder
	cmd.Env = append(os.Environ(), "PGPASSWORD="+d.password, "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.user, Setpgid: true} // Ctrl-C is the demo's to handle
	return cmd
}

// ask runs SQL through psql and returns what it prints.
func (d *database) ask(ctx context.Context, name, query string) (string, error) {
	cmd := d.command(ctx, "psql", "--no-psqlrc", "--host", "127.0.0.1", "--port", strconv.Itoa(d.port), "--username", role,
		"--dbname", name, "--set", "ON_ERROR_STOP=1", "--pset", "footer=off", "--command", query)
	var said bytes.Buffer
	cmd.Stderr = &said
	printed, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return string(printed), nil
}

// stop ends the server and removes its files.
func (d *database) stop() error {
	if d.server != nil && d.server.Process != nil {
		_ = d.server.Process.Signal(syscall.SIGQUIT)
		ended := make(chan struct{})
		go func() { _ = d.server.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(settle):
			_ = d.server.Process.Kill()
			<-ended
		}
	}
	return os.RemoveAll(d.folder)
}

// sinkTo is the DoraSink that takes the events of the demo's target into the database, and its Secret.
const sinkTo = `apiVersion: dora-controller.io/v1alpha1
kind: DoraSink
metadata: {name: postgres, namespace: argocd}
spec: {type: Postgres, default: true, postgres: {secretRef: {name: postgres}, tls: Disable}}
`

// connect makes the DoraSink, before there is anything to deliver.
func (s *stage) connect(ctx context.Context) error {
	if s.database == nil {
		return nil
	}
	s.sayf("creating a DoraSink that writes the events into PostgreSQL")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "postgres"},
		StringData: map[string]string{
			"host": "127.0.0.1", "port": strconv.Itoa(s.database.port), "database": role, "username": role, "password": s.database.password,
		},
	}
	object := &dorav1alpha1.DoraSink{}
	if err := yaml.UnmarshalStrict([]byte(sinkTo), object); err != nil {
		return fmt.Errorf("cannot read the demo's sink: %w", err)
	}
	if err := newWriter(s.api).ensureNamespace(ctx, Namespace); err != nil {
		return fmt.Errorf("cannot create namespace %s: %w", Namespace, err)
	}
	return errors.Join(s.api.Create(ctx, secret), s.api.Create(ctx, object))
}

// inSQL is what to look at in the database.
const inSQL = `SELECT to_char(occurred_at AT TIME ZONE 'UTC', 'HH24:MI:SS') AS at, event_type, service, tag, success, is_rollback,
       round((lead_time_seconds / 3600)::numeric, 1) AS lead_hours
FROM delivery_events ORDER BY occurred_at`

// showDatabase waits until the database has all events, with their commits, and shows them.
func (s *stage) showDatabase(ctx context.Context, events int) error {
	if s.database == nil {
		return nil
	}
	object := &dorav1alpha1.DoraSink{}
	err := until(ctx, settle, "the DoraSink has not delivered all events", func(ctx context.Context) (bool, error) {
		err := s.api.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: "postgres"}, object)
		return err == nil && object.Status.Pending == 0 && object.Status.Delivered >= int64(events), err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\n$ kubectl get dorasinks --all-namespaces\n")
	if err := s.plane.run(ctx, s.Out, "get", "dorasinks", "--all-namespaces"); err != nil {
		return err
	}
	printed, err := s.database.ask(ctx, role, inSQL)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\nThe same events in PostgreSQL:\n\n%s;\n\n%s", inSQL, printed)
	return nil
}
