package chart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/test/docs"
)

// TestRestored makes the backup and follows the restore of docs/operations.md, step by step, after what was written since the copy is lost.
// Commands go to the real API server; a kubelet is played: what runs inside of a pod runs here, on the folder of the claim that it mounts.
func TestRestored(t *testing.T) {
	g := NewWithT(t)
	r := &restorer{cluster: newCluster(t), t: t, folder: t.TempDir(), volumes: t.TempDir()}
	r.namespaces(t, system, "shop")
	r.install(t, "install", release, system, chart, installed(t, `{caBundles: []}`))
	world := argo{t, r.api, "shop"}
	target := &dorav1alpha1.DoraTarget{}
	target.Namespace, target.Name = "shop", "all"
	g.Expect(yaml.Unmarshal([]byte(`{applications: {}}`), &target.Spec)).To(Succeed())
	g.Expect(r.api.Create(t.Context(), target)).To(Succeed())
	ledger := filepath.Join(volumeOf(t, r.volumes, "dora-controller-ledger"), "ledger.db")
	r.process = r.start(t, r.deployment(t, system, release), r.volumes)
	r.process.awaitReady(t)
	books := world.application("books")
	r.expectSeen(t, target)
	world.deploy(books, v1)
	r.expectDeployments(t, target, 1)

	backup, restore := r.steps()
	r.do(backup)
	r.process.stop(t)
	copied := eventsIn(t, ledger)
	g.Expect(copied).To(HaveLen(1))
	g.Expect(os.WriteFile(ledger, []byte("lost"), 0o600)).To(Succeed())
	for _, step := range restore {
		r.do(step)
	}
	g.Expect(r.stopped).To(BeTrue(), "the steps end the controller before they touch its ledger")
	r.process.awaitReady(t)
	g.Expect(eventsIn(t, ledger)).To(Equal(copied))
	r.expectDeployments(t, target, 1)
	world.deploy(books, v2)
	r.expectDeployments(t, target, 2)
	r.process.stop(t)
	g.Expect(eventsIn(t, ledger)).To(And(HaveLen(2), ContainElement(copied[0])))
}

type restorer struct {
	*cluster
	t               *testing.T
	folder, volumes string
	process         *process
	stopped         bool
	mounted         string // where the pod of the restore has the volume
}

var continued = regexp.MustCompile(`(?s)'[^']*'|\\\n`)

// steps are the command that makes a copy, and those that put it in place.
func (r *restorer) steps() (backup string, restore []string) {
	r.t.Helper()
	_, section, _ := strings.Cut(page(r.t, "docs/operations.md"), "\n### Backup\n")
	section, _, _ = strings.Cut(section, "\n###") // of a file, not of a database
	blocks := docs.Page{Name: "operations.md", Text: section}.Blocks()
	NewWithT(r.t).Expect(blocks).To(HaveLen(2))
	backup, _, _ = strings.Cut(blocks[0].Text, "\n")
	whole := continued.ReplaceAllStringFunc(blocks[1].Text, func(text string) string { return strings.ReplaceAll(text, "\n", " ") })
	return backup, strings.Split(strings.TrimSpace(whole), "\n")
}

var (
	inPod     = regexp.MustCompile(`^kubectl exec -n dora-system (\S+) -- (.*)$`)
	ofTheHelp = regexp.MustCompile(`--ledger .*\(default "(.*)"\)`)
	copying   = regexp.MustCompile(`^kubectl cp (\S+) dora-system/ledger:(\S+)$`)
)

// do runs a step, as far as it takes no kubelet.
func (r *restorer) do(step string) {
	r.t.Helper()
	g := NewWithT(r.t)
	within, cp := inPod.FindStringSubmatch(step), copying.FindStringSubmatch(step)
	switch {
	case strings.HasPrefix(step, "kubectl wait "):
	case len(within) > 0 && within[1] == "deployment/dora-controller":
		help, err := r.shell("dora-controller backup --help")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(r.deployment(r.t, system, release).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--ledger="+ofTheHelp.FindStringSubmatch(help)[1]),
			"what the command takes without being told is what the controller writes")
		_, err = r.shell(strings.Replace(within[2], " --output ", r.process.inFolder(" --ledger="+ofTheHelp.FindStringSubmatch(help)[1]+" --output "), 1))
		g.Expect(err).NotTo(HaveOccurred())
	case len(within) > 0:
		g.Expect(r.stopped).To(BeTrue())
		_, err := r.shell(strings.ReplaceAll(within[2], r.mounted+"/", filepath.Join(r.volumes, "dora-controller-ledger")+"/"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(filepath.Glob(filepath.Join(r.volumes, "dora-controller-ledger", "ledger.db*"))).To(ConsistOf(HaveSuffix(".lock")))
	case cp != nil:
		file, under := strings.CutPrefix(cp[2], r.mounted+"/")
		g.Expect(under).To(BeTrue(), "it is copied onto the claim")
		_, err := r.shell("cp " + cp[1] + " " + filepath.Join(r.volumes, "dora-controller-ledger", file))
		g.Expect(err).NotTo(HaveOccurred())
	default:
		_, err := r.shell(step)
		g.Expect(err).NotTo(HaveOccurred(), step)
		r.follow(step)
	}
}

// follow does what the cluster would after a command.
func (r *restorer) follow(step string) {
	r.t.Helper()
	g := NewWithT(r.t)
	deployment := r.deployment(r.t, system, release)
	switch {
	case strings.HasPrefix(step, "kubectl run "):
		var pod corev1.Pod
		g.Expect(r.api.Get(r.t.Context(), client.ObjectKey{Namespace: system, Name: "ledger"}, &pod)).To(Succeed(), "a namespace of restricted pods takes it")
		theirs, own := deployment.Spec.Template.Spec, pod.Spec
		g.Expect(theirs.Volumes).To(ContainElement(HaveField("PersistentVolumeClaim.ClaimName", own.Volumes[0].PersistentVolumeClaim.ClaimName)))
		g.Expect(own.SecurityContext.RunAsUser).To(Equal(theirs.SecurityContext.RunAsUser), "who writes the copy is who reads it")
		g.Expect(own.SecurityContext.FSGroup).To(Equal(theirs.SecurityContext.FSGroup))
		r.mounted = own.Containers[0].VolumeMounts[0].MountPath
	case strings.HasPrefix(step, "kubectl scale ") && *deployment.Spec.Replicas == 0:
		r.stopped = true
	case strings.HasPrefix(step, "kubectl scale "):
		r.process = r.start(r.t, deployment, r.volumes)
	}
}

func (r *restorer) shell(line string) (string, error) {
	r.t.Helper()
	path, err := program()
	NewWithT(r.t).Expect(err).NotTo(HaveOccurred())
	assets, err := filepath.Abs(filepath.Join(root, "bin", "envtest"))
	NewWithT(r.t).Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", line)
	cmd.Dir = r.folder
	cmd.Env = []string{"PATH=" + filepath.Dir(path) + ":" + assets + ":" + os.Getenv("PATH"), "KUBECONFIG=" + r.kubeconfig, "HOME=" + r.folder}
	return output(cmd)
}
