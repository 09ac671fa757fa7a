package chart_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A right is one verb on one resource, in one namespace or in all, of one name or of all.
type right struct{ verb, group, resource, namespace, name string }

func (r right) String() string {
	text := r.verb + " " + r.resource + "." + r.group
	if r.namespace != "" {
		text += " in " + r.namespace
	}
	if r.name != "" {
		text += " called " + r.name
	}
	return text
}

// covers tells whether this right allows that.
func (r right) covers(that right) bool {
	return r.verb == that.verb && r.group == that.group && r.resource == that.resource &&
		(r.namespace == "" || r.namespace == that.namespace) && (r.name == "" || r.name == that.name)
}

// audited is a line of the server's audit log.
type audited struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	RequestURI     string `json:"requestURI"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// asks are what an account asked of the server, and what it was refused.
func (c *cluster) asks(t *testing.T, namespace, account string) (asked []right, refused []string) {
	t.Helper()
	g := NewWithT(t)
	file, err := os.Open(c.audit)
	g.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a audited
		g.Expect(json.Unmarshal(lines.Bytes(), &a)).To(Succeed())
		if a.User.Username != "system:serviceaccount:"+namespace+":"+account {
			continue
		}
		if a.ResponseStatus.Code == 401 || a.ResponseStatus.Code == 403 {
			refused = append(refused, a.Verb+" "+a.RequestURI)
		}
		if o := a.ObjectRef; o != nil {
			resource := strings.TrimSuffix(o.Resource+"/"+o.Subresource, "/")
			asked = append(asked, right{a.Verb, o.APIGroup, resource, o.Namespace, o.Name})
		}
	}
	g.Expect(lines.Err()).NotTo(HaveOccurred())
	return asked, refused
}

// granted are all rights that an account has by what is bound to it.
func (c *cluster) granted(t *testing.T, namespace, account string) (rights []right) {
	t.Helper()
	g := NewWithT(t)
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}
	var everywhere rbacv1.ClusterRoleBindingList
	g.Expect(c.api.List(t.Context(), &everywhere)).To(Succeed())
	for _, b := range everywhere.Items {
		if slices.Contains(b.Subjects, subject) {
			rights = append(rights, c.rightsOf(t, b.RoleRef, "")...)
		}
	}
	var somewhere rbacv1.RoleBindingList
	g.Expect(c.api.List(t.Context(), &somewhere)).To(Succeed())
	for _, b := range somewhere.Items {
		if slices.Contains(b.Subjects, subject) {
			rights = append(rights, c.rightsOf(t, b.RoleRef, b.Namespace)...)
		}
	}
	return rights
}

func (c *cluster) rightsOf(t *testing.T, ref rbacv1.RoleRef, namespace string) (rights []right) {
	t.Helper()
	var rules []rbacv1.PolicyRule
	if ref.Kind == "ClusterRole" {
		var role rbacv1.ClusterRole
		NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKey{Name: ref.Name}, &role)).To(Succeed())
		rules = role.Rules
	} else {
		var role rbacv1.Role
		NewWithT(t).Expect(c.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: ref.Name}, &role)).To(Succeed())
		rules = role.Rules
	}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range append(rule.ResourceNames, noName(rule)...) {
						rights = append(rights, right{verb, group, resource, namespace, name})
					}
				}
			}
		}
	}
	return rights
}

// noName stands for all names in a rule that says none.
func noName(rule rbacv1.PolicyRule) []string {
	if len(rule.ResourceNames) == 0 {
		return []string{""}
	}
	return nil
}

// justRight: nothing that the controller asked for was refused, and it has no right that it did not use.
func (c *cluster) justRight(t *testing.T, namespace, account string) {
	t.Helper()
	g := NewWithT(t)
	asked, refused := c.asks(t, namespace, account)
	g.Expect(refused).To(BeEmpty())
	granted := c.granted(t, namespace, account)
	g.Expect(granted).NotTo(BeEmpty())
	var unused []string
	for _, r := range granted {
		if !slices.ContainsFunc(asked, r.covers) {
			unused = append(unused, r.String())
		}
	}
	g.Expect(unused).To(BeEmpty(), "take these rights away, or tell the story in which they are used")
}
