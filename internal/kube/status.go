package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// PatchStatus writes what is new in the status of an object. One that is gone needs none.
func PatchStatus(ctx context.Context, to client.Client, before, after client.Object) error {
	return patch(ctx, to, after, client.MergeFrom(before))
}

// ReplaceStatus does so unless the object has changed since it was read, which is a conflict.
func ReplaceStatus(ctx context.Context, to client.Client, before, after client.Object) error {
	return patch(ctx, to, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

func patch(ctx context.Context, to client.Client, after client.Object, change client.Patch) error {
	err := to.Status().Patch(ctx, after, change)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cannot write the status: %w", err)
	}
	return nil
}
