// Package chart proves the Helm chart with the real Helm and a real API server, on which RBAC and Pod Security are enforced.
//
//	rendered_test.go   in many sets of values, each object is accepted by the server, and each pod where only restricted ones may run
//	values_test.go     typos are refused by name; values, schema and README have the same keys
//	passed_test.go     what is handed to Kubernetes as it is has fields that Kubernetes knows
//	kustomize_test.go  config/default is what the chart's defaults are
//	installed_test.go  the program runs with the arguments, environment, volumes and service account of the manifest that was installed;
//	                   what it asks of the server is read from the server's audit log: nothing is forbidden, and no right is left over
//	upgraded_test.go   what an upgrade from the previous chart keeps, and what the removal of a release does
//	releases_test.go   what pages say of later: upgrades that keep values, what is refused, Helm after kustomize, a second release, people's rights
//	alerts_test.go     Prometheus's own parser reads the alerts, and each metric that they ask for is there
//	admission_test.go  what the optional policies refuse
//	page_test.go       the values and commands of the pages are understood, and docs/install.md has each alert
//	quickstart_test.go a newcomer follows docs/quickstart.md, and gets what it shows
//
// No container runs here, so what only a kubelet does is not proven: that mounts arrive, that the root is read-only, that probes are asked, that
// network policies are heeded, and what `helm test` would say.
package chart
