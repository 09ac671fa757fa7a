package stand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
)

// address is what others need to use a stand. It is kept in the stand's folder.
type address struct {
	Kubeconfig string `json:"kubeconfig"`
	Git        string `json:"git"`
	Ledger     string `json:"ledger"`
}

const addressFile = "stand.json"

// announce lets others join.
func (s *Stand) announce(context.Context) error {
	text, err := json.Marshal(address{s.kubeconfig, s.Git.URL, s.Ledger})
	if err != nil {
		return err
	}
	return os.WriteFile(s.file(addressFile), text, 0o600)
}

// Join uses a stand that another process started and keeps up. Its parts cannot be stopped from here. The changes seen from now on are recorded
// into a file of that name.
func Join(ctx context.Context, root, folder, recording string) (*Stand, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	s := &Stand{Root: root, Folder: folder}
	text, err := os.ReadFile(s.file(addressFile))
	if err != nil {
		return nil, fmt.Errorf("no stand is up there: %w", err)
	}
	var a address
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", addressFile, err)
	}
	s.kubeconfig, s.Ledger, s.Git = a.Kubeconfig, a.Ledger, &Git{URL: a.Git, folder: s.file("git")}
	if s.Config, err = clientcmd.BuildConfigFromFlags("", s.kubeconfig); err != nil {
		return nil, err
	}
	s.Config.QPS, s.Config.Burst = 500, 1000
	return s, errors.Join(s.connect(ctx), s.record(ctx, recording))
}
