package vault

import (
	"net/http"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// version is the release of Vault whose features the dialect has. The Terraform provider switches its own on by it, so it is
	// not that of this program, and it bears no suffix: "+ent" would stand for Enterprise.
	version = "1.20.0"
	// buildDate is when that release was made; clients show it only.
	buildDate = "2025-06-23T10:21:30Z"
	// clusterName is shown by clients.
	clusterName = "keyturn"
)

// Instance is what the dialect tells of the server.
type Instance struct {
	ID      string // UUID: the id of the cluster
	Storage string // sqlite or postgres
}

// Opening is how far a sealed server is from being opened.
type Opening struct {
	Have, Need int // shares; zero when none are entered
}

type health struct {
	Initialized         bool   `json:"initialized"`
	Sealed              bool   `json:"sealed"`
	Standby             bool   `json:"standby"`
	PerformanceStandby  bool   `json:"performance_standby"`
	ReplicationMode     string `json:"replication_performance_mode"`
	ReplicationDR       string `json:"replication_dr_mode"`
	ServerTime          int64  `json:"server_time_utc"` // unix seconds
	Version             string `json:"version"`
	ClusterName         string `json:"cluster_name"`
	ClusterID           string `json:"cluster_id"`
	Enterprise          bool   `json:"enterprise"`
	EchoDuration        int64  `json:"echo_duration_ms"`
	ClockSkew           int64  `json:"clock_skew_ms"`
	ReplicationCanaryMS int64  `json:"replication_primary_canary_age_ms"`
}

func (i Instance) health(sealed bool) health {
	return health{Initialized: true, Sealed: sealed, ReplicationMode: "disabled", ReplicationDR: "disabled", ServerTime: time.Now().Unix(), Version: version,
		ClusterName: clusterName, ClusterID: i.ID}
}

type sealStatus struct {
	Type         string `json:"type"`
	Initialized  bool   `json:"initialized"`
	Sealed       bool   `json:"sealed"`
	T            int    `json:"t"`
	N            int    `json:"n"`
	Progress     int    `json:"progress"`
	Nonce        string `json:"nonce"`
	Version      string `json:"version"`
	BuildDate    string `json:"build_date"`
	Migration    bool   `json:"migration"`
	ClusterName  string `json:"cluster_name"`
	ClusterID    string `json:"cluster_id"`
	RecoverySeal bool   `json:"recovery_seal"`
	StorageType  string `json:"storage_type"`
}

// sealStatus tells how the server is sealed; nil is open.
func (i Instance) sealStatus(o *Opening) sealStatus {
	out := sealStatus{Type: "shamir", Initialized: true, T: 1, N: 1, Version: version, BuildDate: buildDate, ClusterName: clusterName, ClusterID: i.ID, StorageType: i.Storage}
	if o != nil {
		out.Sealed, out.Progress = true, o.Have
		out.T, out.N = max(o.Need, 1), max(o.Need, 1)
	}
	return out
}

type initStatus struct {
	Initialized bool `json:"initialized"`
}

// leader is the answer of a server that is no member of a cluster of Vault's own kind.
type leader struct {
	HAEnabled            bool   `json:"ha_enabled"`
	IsSelf               bool   `json:"is_self"`
	ActiveTime           string `json:"active_time"`
	LeaderAddress        string `json:"leader_address"`
	LeaderClusterAddress string `json:"leader_cluster_address"`
	PerformanceStandby   bool   `json:"performance_standby"`
	LastRemoteWAL        int64  `json:"performance_standby_last_remote_wal"`
}

var notClustered = leader{ActiveTime: "0001-01-01T00:00:00Z"}

// RegisterSealed serves the dialect of a server that waits for its root key: it tells that it is sealed, and refuses the rest.
func RegisterSealed(mux *http.ServeMux, i Instance, opening func() Opening) {
	mux.HandleFunc(Prefix, func(w http.ResponseWriter, r *http.Request) {
		c, err := read(w, r)
		if err == nil && c.verb == verbRead {
			switch c.path {
			case "sys/health":
				var code int
				if code, err = healthCode(c, "sealedcode"); err == nil {
					(&reply{bare: i.health(true), status: code}).write(w, r)
					return
				}
			case "sys/seal-status":
				o := opening()
				(&reply{bare: i.sealStatus(&o)}).write(w, r)
				return
			default:
				err = sealedFault()
			}
		} else if err == nil {
			err = sealedFault()
		}
		fail(w, r, err)
	})
}

func sealedFault() error {
	return fault.New(fault.Sealed, "the server waits for its root key").WithHint("unlock it with: keyturn unlock")
}
