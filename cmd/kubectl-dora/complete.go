package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// completionTimeout bounds what a press of the tab key asks the cluster.
const completionTimeout = 3 * time.Second

// complete offers fixed words for a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// names offers what a cluster has, and nothing if it does not answer.
func (c *connection) names(cmd *cobra.Command, ask func(context.Context, *cluster) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, stop := context.WithTimeout(cmd.Context(), completionTimeout)
	defer stop()
	cl, err := c.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, _ := ask(ctx, cl) // a completion has nobody to tell
	return found, cobra.ShellCompDirectiveNoFileComp
}

func (c *connection) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.names(cmd, func(ctx context.Context, cl *cluster) ([]string, error) {
		return namesOf(ctx, cl, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "")
	})
}

func (c *connection) completeTargets(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.names(cmd, func(ctx context.Context, cl *cluster) ([]string, error) {
		namespace, err := c.namespace()
		if err != nil {
			return nil, err
		}
		return namesOf(ctx, cl, targetKind, namespace)
	})
}

func (c *connection) completeServices(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.names(cmd, func(ctx context.Context, cl *cluster) ([]string, error) {
		targets, err := listOf[dorav1alpha1.DoraTarget](ctx, cl, targetKind, "", metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var found []string
		for i := range targets {
			for _, s := range targets[i].Status.Services {
				found = append(found, s.Service)
			}
		}
		return found, nil
	})
}

func namesOf(ctx context.Context, cl *cluster, kind schema.GroupVersionResource, namespace string) ([]string, error) {
	var found []string
	err := cl.each(ctx, kind, namespace, metav1.ListOptions{}, func(o *unstructured.Unstructured) error {
		found = append(found, o.GetName())
		return nil
	})
	return found, err
}
