// Package crd tests the kinds DoraTarget and DoraSink against a real API server: every validation rule and default of their schemas,
// what kubectl prints of them, the manifests that install them, and the pages that document them.
package crd
