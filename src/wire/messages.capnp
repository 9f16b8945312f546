@0xfd72ac69caa6be6c;
# What Ashlar's processes say to each other. docs/wire.md explains who sends what, and when.
#
# This schema only grows: fields and union members are added at the end, never renumbered,
# never given a new meaning. A change that old readers cannot ignore raises protocolVersion.
#
# Messages about many things hold columns: lists of equal length, one entry per thing.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("ashlar::wire::schema");

struct RunId {
  session @0 :UInt32 = 0xffffffff;
  number @1 :UInt32;
}

struct DatumId {
  session @0 :UInt32 = 0xffffffff;
  run @1 :UInt32;
  index @2 :UInt32;
}

struct DatumIds {
  # Columns. `session` and `run` have one entry when it is the same for all data.
  # From drivers `session` is empty: the link's session is meant.
  session @0 :List(UInt32);
  run @1 :List(UInt32);
  index @2 :List(UInt32);
}

struct Resource {
  name @0 :Text;
  amount @1 :Float64;
}

struct Endpoint {
  hostIdentity @0 :Text;
  localAddress @1 :Text;
  remoteAddress @2 :Text;
  ucxAddress @3 :Text;
}

enum ErrorKind {
  badInput @0;
  taskFailed @1;
  disconnected @2;
  overloaded @3;
  unsupported @4;
  cancelled @5;
}

struct Heartbeat {
  memoryUsed @0 :UInt64;
  cpuPercent @1 :UInt32;
  # Percentages of cores: 100 is one core.
  slotsPercent @2 :UInt32;
  cores @3 :UInt32;
  coresBusyPercent @4 :UInt32;
  hostCores @5 :UInt32;
  hostBusyPercent @6 :UInt32;
  runQueue @7 :UInt32;
  cpuStallPercent @8 :UInt32;
  processBytes @9 :UInt64;
  hostMemoryUsed @10 :UInt64;
  hostMemoryLimit @11 :UInt64;
  cgroupMemoryUsed @12 :UInt64;
  cgroupMemoryLimit @13 :UInt64;
  sample @14 :UInt64;
}

# ---- the first frames of every link

struct Handshake {
  union {
    hello @0 :Hello;
    welcome @1 :Welcome;
    refusal @2 :Refusal;
  }
}

enum Role {
  worker @0;
  driver @1;
  peer @2;
}

struct Hello {
  protocolVersion @0 :UInt32;
  softwareVersion @1 :Text;
  role @2 :Role;
  token @3 :Text;
  name @4 :Text;
  endpoint @5 :Endpoint;
  peer @6 :UInt32 = 0xffffffff;
  slots @7 :UInt32;
  memoryLimit @8 :UInt64;
  kernels @9 :List(Text);
  resources @10 :List(Resource);
  keepsTemplates @11 :Bool;
  returnsLoans @12 :Bool;
  repeatable @13 :List(UInt32);
  readsChecksums @14 :Bool;
  takesPieces @15 :Bool;
  encrypts @16 :Bool;
  authorities @17 :List(Text);
  opensLanes @18 :Bool;
  laneOf @19 :UInt32;
}

struct Welcome {
  protocolVersion @0 :UInt32;
  peer @1 :UInt32 = 0xffffffff;
  session @2 :UInt32 = 0xffffffff;
  cluster @3 :ClusterSize;
  keepsTemplates @4 :Bool;
  explains @5 :Bool;
  returnsLoans @6 :Bool;
  readsChecksums @7 :Bool;
  takesPieces @8 :Bool;
  heedsStreams @9 :Bool;
  heedsRunning @10 :Bool;
}

struct ClusterSize {
  workers @0 :UInt32;
  slots @1 :UInt64;
}

struct Refusal {
  reason @0 :Text;
}

# ---- driver -> scheduler

struct DriverToScheduler {
  union {
    submitRun @0 :SubmitRun;
    cancelRun @1 :CancelRun;
    putData @2 :PutData;
    releaseData @3 :DatumIds;
    locateData @4 :DatumIds;
    heartbeat @5 :Heartbeat;
    dropTemplates @6 :DropTemplates;
    explain @7 :Explain;
    streamHeld @8 :StreamHeld;
  }
}

struct Constraint {
  resources @0 :List(Resource);
}

struct Product {
  # A product of matrices: chunks and elements along m, n and k.
  rows @0 :UInt32;
  columns @1 :UInt32;
  inner @2 :UInt32;
  m @3 :UInt64;
  n @4 :UInt64;
  k @5 :UInt64;
  elementBytes @6 :UInt32;
}

struct TaskGraph {
  # As src/graph/task_graph.hpp says. Lists that may be empty there may be empty here.
  kernels @0 :List(Text);
  constraints @1 :List(Constraint);
  sources @2 :List(Text);
  kernel @3 :List(UInt32);
  inputOffsets @4 :List(UInt32);
  inputs @5 :List(UInt32);
  outputOffsets @6 :List(UInt32);
  paramOffsets @7 :List(UInt32);
  params @8 :Data;
  flops @9 :List(Float32);
  movedBytes @10 :List(Float32);
  priority @11 :List(Int32);
  constraint @12 :List(UInt16);
  source @13 :List(UInt32);
  reuseInput @14 :List(UInt32);
  outputBytes @15 :List(UInt64);
  externalBytes @16 :List(UInt64);
  wanted @17 :List(UInt32);
  products @18 :List(Product);
  cell @19 :List(UInt32);
}

struct SubmitRun {
  run @0 :UInt32;
  graph @1 :TaskGraph;
  externals @2 :DatumIds;
  deliver @3 :Bool;
  endsOnFailure @4 :Bool;
  # Without a graph: a run of the one that is kept under this number.
  templateNumber @5 :UInt32 = 0xffffffff;
}

struct DropTemplates {
  # From drivers `session` is absent: the link's is meant.
  session @0 :UInt32 = 0xffffffff;
  numbers @1 :List(UInt32);
}

struct StreamHeld {
  run @0 :UInt32;
  isHeld @1 :Bool;
}

struct CancelRun {
  run @0 :UInt32;
}

enum Subject {
  cluster @0;
  run @1;
  task @2;
}

struct Explain {
  request @0 :UInt64;
  subject @1 :Subject;
  # Absent: the link's; of a cluster, all.
  session @2 :UInt32 = 0xffffffff;
  # Absent: one that goes on, else the last one.
  run @3 :UInt32 = 0xffffffff;
  task @4 :UInt32;
}

struct PutData {
  run @0 :UInt32;
  bytes @1 :List(UInt64);
}

# ---- scheduler -> driver

struct SchedulerToDriver {
  union {
    peerInfo @0 :PeerInfo;
    peerGone @1 :PeerGone;
    dataReady @2 :DataReady;
    runEnded @3 :RunEnded;
    runProgress @4 :RunProgress;
    putDataUnused @5 :DatumIds;
    dataLost @6 :DataLost;
    heartbeat @7 :Heartbeat;
    clusterSize @8 :ClusterSize;
    explanation @9 :Explanation;
  }
}

struct PeerInfo {
  peer @0 :UInt32 = 0xffffffff;
  name @1 :Text;
  endpoint @2 :Endpoint;
}

struct PeerGone {
  peer @0 :UInt32 = 0xffffffff;
  reason @1 :Text;
}

struct DataReady {
  run @0 :UInt32;
  index @1 :List(UInt32);
  bytes @2 :List(UInt64);
  holder @3 :List(UInt32);
}

enum RunOutcome {
  done @0;
  failed @1;
  cancelled @2;
}

struct WorkerShare {
  worker @0 :UInt32 = 0xffffffff;
  name @1 :Text;
  slots @2 :UInt32;
  tasks @3 :UInt64;
  busyNs @4 :Int64;
  presentNs @5 :Int64;
}

struct RebalanceStats {
  stolen @0 :UInt64;
  useful @1 :UInt64;
  useless @2 :UInt64;
  twins @3 :UInt64;
  twinsWon @4 :UInt64;
  twinNs @5 :Int64;
}

struct RunStats {
  tasks @0 :UInt64;
  taskNs @1 :Int64;
  criticalPathNs @2 :Int64;
  makespanNs @3 :Int64;
  localBytes @4 :UInt64;
  remoteBytes @5 :UInt64;
  workers @6 :List(WorkerShare);
  templateTasks @7 :UInt64;
  boundBy @8 :Text;
  spilledBytes @9 :UInt64;
  loadedBytes @10 :UInt64;
  rebalance @11 :RebalanceStats;
}

struct RunEnded {
  run @0 :UInt32;
  outcome @1 :RunOutcome;
  errorKind @2 :ErrorKind;
  error @3 :Text;
  stats @4 :RunStats;
}

struct RunProgress {
  run @0 :UInt32;
  tasksDone @1 :UInt64;
}

struct DataLost {
  data @0 :DatumIds;
  reason @1 :Text;
  kind @2 :ErrorKind = disconnected;
}

struct Explanation {
  request @0 :UInt64;
  text @1 :Text;
}

# ---- scheduler -> worker

struct SchedulerToWorker {
  union {
    peerInfo @0 :PeerInfo;
    peerGone @1 :PeerGone;
    assignTasks @2 :AssignTasks;
    revokeTasks @3 :RevokeTasks;
    freeData @4 :DatumIds;
    relocate @5 :Relocate;
    shutdown @6 :Shutdown;
    heartbeat @7 :Heartbeat;
    runTemplate @8 :RunTemplate;
    dropTemplates @9 :DropTemplates;
    prefetch @10 :Prefetch;
  }
}

struct AssignTasks {
  run @0 :RunId;
  # One entry per task.
  task @1 :List(UInt32);
  attempt @2 :List(UInt32);
  kernel @3 :List(UInt32);
  rank @4 :List(UInt32);
  expectedNs @5 :List(UInt64);
  reuseInput @6 :List(UInt32);
  inputCount @7 :List(UInt32);
  outputCount @8 :List(UInt32);
  paramBytes @9 :List(UInt32);
  deliver @10 :List(UInt8);
  driver @11 :UInt32 = 0xffffffff;
  # One entry per input of each task.
  inputs @12 :DatumIds;
  inputBytes @13 :List(UInt64);
  inputHolder @14 :List(UInt32);
  # One entry per output of each task.
  outputs @15 :List(UInt32);
  outputBytes @16 :List(UInt64);
  # Parameter blobs, task after task.
  params @17 :Data;
  templateNumber @18 :UInt32 = 0xffffffff;
  # One entry per task, or none: 0.
  priority @19 :List(Int32);
}

struct RunTemplate {
  run @0 :RunId;
  templateNumber @1 :UInt32 = 0xffffffff;
  # One entry per input of the kept tasks that is not of the run itself.
  inputs @2 :DatumIds;
  inputBytes @3 :List(UInt64);
  inputHolder @4 :List(UInt32);
}

struct RevokeTasks {
  run @0 :RunId;
  task @1 :List(UInt32);
  attempt @2 :List(UInt32);
}

struct Relocate {
  data @0 :DatumIds;
  holder @1 :List(UInt32);
}

struct Prefetch {
  run @0 :RunId;
  datum @1 :List(UInt32);
  bytes @2 :List(UInt64);
  holder @3 :List(UInt32);
  rank @4 :List(UInt32);
}

struct Shutdown {
  reason @0 :Text;
}

# ---- worker -> scheduler

struct WorkerToScheduler {
  union {
    tasksDone @0 :TasksDone;
    taskFailed @1 :TaskFailed;
    dataAcquired @2 :DataAcquired;
    dataMissing @3 :DataMissing;
    leaving @4 :Leaving;
    heartbeat @5 :Heartbeat;
    memoryShort @6 :MemoryShort;
    slotsHeld @7 :SlotsHeld;
    tasksRunning @8 :TasksRunning;
  }
}

struct TasksDone {
  run @0 :RunId;
  task @1 :List(UInt32);
  attempt @2 :List(UInt32);
  elapsedNs @3 :List(UInt64);
  outputBytes @4 :List(UInt64);
}

struct TaskFailed {
  run @0 :RunId;
  task @1 :UInt32;
  attempt @2 :UInt32;
  kind @3 :ErrorKind;
  what @4 :Text;
}

struct DataAcquired {
  run @0 :RunId;
  data @1 :DatumIds;
  localBytes @2 :UInt64;
  remoteBytes @3 :UInt64;
  spilledBytes @4 :UInt64;
  loadedBytes @5 :UInt64;
}

struct DataMissing {
  data @0 :DatumIds;
  peer @1 :List(UInt32);
  unreachable @2 :List(UInt32);
  reasons @3 :List(Text);
  reached @4 :List(UInt32);
}

struct Leaving {
  reason @0 :Text;
}

struct SlotsHeld {
  slots @0 :UInt32;
}

struct TasksRunning {
  # One entry per task; `index` is the task's.
  tasks @0 :DatumIds;
  attempt @1 :List(UInt32);
  runningNs @2 :List(UInt64);
}

struct MemoryShort {
  received @0 :UInt64;
  memoryUsed @1 :UInt64;
  # One entry per task; `index` is the task's.
  tasks @2 :DatumIds;
  bytes @3 :List(UInt64);
  spillError @4 :Text;
}

# ---- peer <-> peer

struct PeerMessage {
  union {
    fetch @0 :Fetch;
    fetchCancel @1 :FetchCancel;
    arenaShared @2 :ArenaShared;
    fetchInPlace @3 :FetchInPlace;
    fetchBytes @4 :FetchBytes;
    fetchRefused @5 :FetchRefused;
    pushInPlace @6 :PushInPlace;
    pushBytes @7 :PushBytes;
    leaseReturned @8 :LeaseReturned;
    loansWanted @9 :LoansWanted;
    fetchPiece @10 :FetchPiece;
    lanesWanted @11 :LanesWanted;
  }
}

struct Fetch {
  requests @0 :List(UInt64);
  data @1 :DatumIds;
  # How soon it is needed, one entry per request; or none. A rank of 0xffffffff: the asker does not say.
  priority @2 :List(Int32);
  run @3 :List(UInt32);
  rank @4 :List(UInt32);
}

struct FetchCancel {
  request @0 :UInt64;
}

struct ArenaShared {
  arena @0 :UInt32;
  bytes @1 :UInt64;
}

struct FetchInPlace {
  arena @0 :UInt32;
  requests @1 :List(UInt64);
  offsets @2 :List(UInt64);
  bytes @3 :List(UInt64);
}

struct FetchBytes {
  request @0 :UInt64;
  bytes @1 :UInt64;
}

struct FetchRefused {
  request @0 :UInt64;
}

struct PushInPlace {
  lease @0 :UInt64;
  datum @1 :DatumId;
  arena @2 :UInt32;
  offset @3 :UInt64;
  bytes @4 :UInt64;
}

struct PushBytes {
  datum @0 :DatumId;
  bytes @1 :UInt64;
}

struct LeaseReturned {
  requests @0 :List(UInt64);
}

struct LoansWanted {
}

struct FetchPiece {
  request @0 :UInt64;
  bytes @1 :UInt64;
  offset @2 :UInt64;
  pieceBytes @3 :UInt64;
  isPacked @4 :Bool;
}

struct LanesWanted {
  link @0 :UInt32;
}
