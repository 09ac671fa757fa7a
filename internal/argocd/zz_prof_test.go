package argocd
import ("testing";"runtime";"runtime/pprof";"os")
func TestProf(t *testing.T){
	objs:=make([]any,1000)
	for i:=range objs{objs[i]=asTrimmed(t,large(i))}
	runtime.GC();runtime.GC()
	f,_:=os.Create("/tmp/adp/heap.pb");pprof.Lookup("heap").WriteTo(f,0);f.Close()
	runtime.KeepAlive(objs)
}
