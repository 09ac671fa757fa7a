package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// PatchStatus writes what is new in the status of an object. One that is gone needs none.
func PatchStatus(ctx context.Context, to client.Client, before, after client.Object) error {
	err := to.Status().Patch(ctx, after, client.MergeFrom(before))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cannot write the status: %w", err)
	}
	return nil
}
