package recording

import "strings"

// words are those that Kubernetes and Argo write into fields that hold one of a few. They say nothing about anybody. A word that is not
// here is replaced, which costs a reader its meaning and no decision its ground: a state that is not known counts as no other.
var words = setOf(`
	Healthy Progressing Degraded Suspended Missing Unknown
	Synced OutOfSync SyncFailed Pruned PruneSkipped
	Running Terminating Succeeded Failed Error
	PreSync Sync PostSync SyncFail PreDelete PostDelete Skip
	Paused Available Completed ReplicaFailure InvalidSpec True False
	AvailableReason ReplicaSetUpdated ReplicaSetCreateError NewReplicaSetCreated FoundNewReplicaSet RolloutUpdated RolloutCompleted
	RolloutNotCompleted RolloutHealthy RolloutAborted RolloutRetry RolloutPaused ReplicaSetNotAvailable RolloutResumed RolloutStepCompleted
	TrafficWeightUpdated NewReplicaSetAvailable AnalysisRunFailed ExperimentFailed ReconciliationError ProgressDeadlineExceeded
	DeletionError InvalidSpecError ComparisonError SyncError UnknownError SharedResourceWarning RepeatedResourceWarning
	ExcludedResourceWarning OrphanedResourceWarning

	apps batch autoscaling policy argoproj.io networking.k8s.io rbac.authorization.k8s.io apps/v1 argoproj.io/v1alpha1
	Application Rollout AnalysisTemplate AnalysisRun Experiment
	Pod ReplicationController DaemonSet Deployment ReplicaSet StatefulSet CronJob Job HorizontalPodAutoscaler PodDisruptionBudget
	Service Ingress NetworkPolicy ConfigMap Secret ServiceAccount Role RoleBinding ClusterRole ClusterRoleBinding
	PersistentVolumeClaim Namespace

	sha256 sha384 sha512
`)

// environments are the usual names.
var environments = setOf(`
	production prod prd live staging stage stg preproduction preprod pre-production pre-prod preview canary
	qa uat test testing tst integration int development dev sandbox demo perf performance load local nonprod non-prod dr
`)

// said are the messages of operations that are the same for everybody, or the beginnings of some that go on with what went wrong.
var said = []string{
	"successfully synced (all tasks run)",
	"successfully synced (no more tasks)",
	"one or more objects failed to apply",
	"one or more objects failed to apply (dry run)",
	"one or more synchronization tasks completed unsuccessfully",
	"one or more synchronization tasks are not valid",
	"one or more tasks are running",
	"operation is terminating",
	"Operation terminated",
}

// inCommon is as much of an operation's message as everybody may know.
func inCommon(message string) string {
	found := ""
	for _, known := range said {
		if len(known) > len(found) && strings.HasPrefix(message, known) {
			found = known
		}
	}
	return found
}

func setOf(text string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}
