package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/dora-controller/dora-controller/internal/doctor"
)

// rightsIn are those that the roles of a text of YAML give, of which the name has that end; the roles are in no namespace here.
func rightsIn(t *testing.T, text, name string) (all []right) {
	t.Helper()
	found := false
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		if (role.Kind != "Role" && role.Kind != "ClusterRole") || role.Name != name {
			continue
		}
		found = true
		for _, r := range role.Rules {
			names := r.ResourceNames
			if names == nil {
				names = []string{""}
			}
			for _, group := range r.APIGroups {
				for _, of := range names {
					all = append(all, rightsOf([]rule{{group, r.Resources, r.Verbs}}, "", of)...)
				}
			}
		}
	}
	if !found {
		t.Fatalf("there is no role %s", name)
	}
	return all
}

// The doctor asks for each right that an installation gives, and for no other, whether it came of the manifests or of the chart.
func TestEveryRightOfTheRolesIsAskedFor(t *testing.T) {
	var manifests strings.Builder
	for _, file := range []string{"role.yaml", "leader_election_role.yaml"} {
		data, err := os.ReadFile(filepath.Join(root, "config", "rbac", file))
		if err != nil {
			t.Fatal(err)
		}
		manifests.WriteString(string(data) + "\n---\n")
	}
	helm := exec.CommandContext(t.Context(), filepath.Join(root, "bin", "helm"), "template", "dora-controller", filepath.Join(root, "charts", "dora-controller"),
		"--set", "shard=payments")
	chart, err := helm.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, lease string }{
		{"config/rbac", manifests.String(), "dora-controller"}, {"the chart, of a shard", string(chart), "dora-controller-payments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := append(rightsIn(t, c.text, "dora-controller"), rightsIn(t, c.text, "dora-controller-leader-election")...)
			asked := neededRights(&doctor.Workload{LeaderElect: true, LeaseName: c.lease})
			NewWithT(t).Expect(asked).To(ConsistOf(given))
		})
	}
}

func TestRightsAreAskedForInEachNamespaceThatIsWatched(t *testing.T) {
	g := NewWithT(t)
	asked := neededRights(&doctor.Workload{Namespaces: []string{"a", "b"}, LeaseNamespace: "dora-system", LeaseName: "dora-controller"})
	g.Expect(asked).To(HaveLen(2 * 19)) // 2 of ReplicaSets, 6 of Argo's, 6 of the own kinds, 3 of their status, 2 of events
	g.Expect(asked).To(ContainElements(right{"patch", "events.k8s.io", "events", "a", ""}, right{"get", "argoproj.io", "rollouts", "b", ""}))
	g.Expect(neededRights(&doctor.Workload{LeaderElect: true, LeaseNamespace: "c", LeaseName: "dora-controller-x"})).To(ContainElements(
		right{"create", "coordination.k8s.io", "leases", "c", ""}, right{"update", "coordination.k8s.io", "leases", "c", "dora-controller-x"},
		right{"create", "", "events", "c", ""}))
}
