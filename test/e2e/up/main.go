// Command up keeps a stand up until it is told to stop, for whoever writes stories or wants to look around:
//
//	go run ./test/e2e/up
//	E2E_STAND=$PWD/bin/e2e/stand go test -tags e2e ./test/e2e -run TestStories/all/canary
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	folder := filepath.Join("bin", "e2e", "stand")
	lock, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("a stand is up in %s already: end it first, or use it", folder)
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	s, err := stand.Start(ctx, ".", folder)
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := s.MayReadSecrets(ctx, stand.ArgoNamespace); err != nil {
		return err
	}
	fmt.Fprintf(out, "a stand is up; to look around:\n    export KUBECONFIG=%s\nto tell stories on it:\n    export E2E_STAND=%s\nCtrl-C ends it\n",
		filepath.Join(s.Folder, "admin.kubeconfig"), s.Folder)
	<-ctx.Done()
	return nil
}
