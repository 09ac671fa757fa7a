package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	rec "github.com/dora-controller/dora-controller/internal/recording"
)

// source is the cluster to record. Watches are open for minutes, so no timeout is set for all requests.
func (o *recordOptions) source(errOut io.Writer) (rec.Source, error) {
	config, err := clusterConfig(o.kubeconfig)
	if err != nil {
		return rec.Source{}, err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the server has limits of its own
	config.WarningHandler = rest.NoWarnings{}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return rec.Source{}, inPlainWords("cannot reach the cluster", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return rec.Source{}, inPlainWords("cannot reach the cluster", err)
	}
	var mu sync.Mutex
	tell := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(errOut, format+"\n", args...)
	}
	return rec.Source{Discovery: kinds, Objects: objects, Now: time.Now, Tell: tell}, nil
}

// readInputs reads all files as if they were one, which is called by all their names.
func readInputs(cmd *cobra.Command, names []string) (name string, data []byte, err error) {
	var all [][]byte
	for _, name := range names {
		in, err := openInput(cmd, name)
		if err != nil {
			return "", nil, err
		}
		data, err := io.ReadAll(in)
		_ = in.Close() // it was only read
		if err != nil {
			return "", nil, fmt.Errorf("cannot read a recording: %w", err)
		}
		all = append(all, data)
	}
	return strings.Join(names, "+"), bytes.Join(all, []byte("\n")), nil
}
