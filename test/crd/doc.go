// Package crd tests the DoraTarget kind against a real API server: every validation rule and default of its schema,
// what kubectl prints of it, the manifests that install it, and the page that documents it.
package crd
