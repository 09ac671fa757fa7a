package dashboards

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestDashboardsAreInOrder(t *testing.T) {
	uids := map[string]bool{}
	for name, d := range dashboards(t) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(d.ID).To(BeNil(), "a number would collide with those of the Grafana that imports it")
			g.Expect(d.UID).To(MatchRegexp(`^dora-[a-z]+$`))
			g.Expect(uids).NotTo(HaveKey(d.UID))
			uids[d.UID] = true
			g.Expect(d.Title).NotTo(BeEmpty())
			g.Expect(d.Description).NotTo(BeEmpty())
			g.Expect(d.Tags).To(ContainElement("dora"))
			g.Expect(d.SchemaVersion).To(And(BeNumerically(">=", 39), BeNumerically("<=", 41)))
			g.Expect(d.Templating.List[0].Type).To(Equal("datasource"))
			g.Expect(d.Templating.List[0].Name).To(Equal("datasource"))
		})
	}
}

func TestPanelsAreInOrder(t *testing.T) {
	for name, d := range dashboards(t) {
		ids := map[int]bool{}
		for _, p := range d.Panels {
			t.Run(name+"/"+p.Title, func(t *testing.T) {
				g := NewWithT(t)
				g.Expect(ids).NotTo(HaveKey(p.ID))
				ids[p.ID] = true
				g.Expect(p.Title).NotTo(BeEmpty())
				g.Expect(p.Description).To(MatchRegexp(`\.$`), "a sentence says what is shown")
				if p.isRow() {
					return
				}
				g.Expect(p.Datasource).To(Equal(datasource{d.kind(), "${datasource}"}))
				g.Expect(p.Targets).NotTo(BeEmpty())
				refs := map[string]bool{}
				for _, q := range p.Targets {
					g.Expect(refs).NotTo(HaveKey(q.RefID))
					refs[q.RefID] = true
					inOrder(g, d, q)
				}
			})
		}
	}
}

// inOrder says what holds for every query.
func inOrder(g Gomega, d *dashboard, q target) {
	g.Expect(q.RefID).NotTo(BeEmpty())
	g.Expect(q.Datasource).To(Equal(datasource{d.kind(), "${datasource}"}))
	g.Expect(q.EditorMode).To(Equal("code"))
	if d.kind() == prometheusType {
		g.Expect(q.Expr).NotTo(BeEmpty())
		return
	}
	g.Expect(q.RawQuery).To(BeTrue())
	g.Expect(q.RawSQL).NotTo(BeEmpty())
	g.Expect(q.Format).To(BeElementOf("table", "time_series"))
}

func TestPanelsDoNotOverlap(t *testing.T) {
	for name, d := range dashboards(t) {
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			g := NewWithT(t)
			g.Expect(p.GridPos.X+p.GridPos.W).To(BeNumerically("<=", 24), "%s: %s", name, p.Title)
			g.Expect(p.GridPos.W*p.GridPos.H).To(BeNumerically(">", 0), "%s: %s", name, p.Title)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					g.Expect(taken[[2]int{x, y}]).To(BeEmpty(), "%s: %s", name, p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

func TestVariablesAreInOrder(t *testing.T) {
	for name, d := range dashboards(t) {
		names := map[string]bool{}
		for _, v := range d.Templating.List {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				g := NewWithT(t)
				g.Expect(names).NotTo(HaveKey(v.Name))
				names[v.Name] = true
				g.Expect(v.Label).NotTo(BeEmpty())
				if v.Type == "datasource" {
					g.Expect(string(v.Query)).To(Equal(`"` + d.kind() + `"`))
					return
				}
				g.Expect(v.Description).To(MatchRegexp(`\.$`))
				if v.Type == "query" {
					g.Expect(v.Datasource).To(Equal(datasource{d.kind(), "${datasource}"}))
					g.Expect(v.Multi && v.IncludeAll).To(BeTrue(), "one, several or all can be chosen")
					g.Expect(v.Definition).NotTo(BeEmpty())
				}
			})
		}
	}
}
