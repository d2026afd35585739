#!/bin/bash
# check.sh [--ci | --long] [--jobs N] [--list] [NAME...]: search the models of this folder, one line a run.
# A run is `on` (all rules in force: the search must end and find nothing) or `off` (one rule switched off, or
# a circumstance that the rules do not cover: a counterexample must be found).  With -DPROGRESS the search is for
# a cycle without progress under weak fairness.  Without an option: every quick run.  --ci: those of CI, two at a
# time.  --long: the bigger searches, too.
# --list: only their names.  The time is the processor's, with the compiler's.  Exit 1 when a run does otherwise than it should, or none was found.
# Needs spin and gcc; at most 6 GB of memory for each job; exhaustive, no bitstate, no hash compaction.
here=$(cd "$(dirname "$0")" && pwd)
which=quick jobs=1 list=
while :; do
  case "$1" in
    --ci) which=ci jobs=2; shift;;
    --long) which=long; shift;;
    --jobs) jobs=$2; shift 2;;
    --list) list=1; shift;;
    *) break;;
  esac
done
for tool in spin gcc; do
  [ $list ] || command -v $tool >/dev/null || { echo "$tool is missing: apt-get install spin gcc"; exit 2; }
done
only=" $* "; work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; found=0 running=0

# Those of CI: each rule that keeps a promise, on and off, in the smallest search that shows it.
CI=" hold hold-no-opener hold-no-close undo-any dup-refusers release release-match release-any
  one-late one-per-lease one-own-free crash crash-no-wait tail tail-no-run jump jump-token jump-suspect ahead-close five five-no-close
  repair-first renew-acquires repair-closed repair-fence late-count renew-crash repair-amnesia lost lost-undo
  mend mend-no-bar mend-few mend-any mend-crash mend-amnesia mend-beat mend-beat-no-bar mend-forgets mend-late
  rejoin rejoin-one-peer rejoin-early floor floor-no-peer floor-first floor-opener
  sweep sweep-drop-only boot-claim boot-look-once boot-no-wait boot-no-cas boot-flushall
  share-beat share-write-past share-readers share-no-close share-no-shut share-repair-any share-crash
  line-down line-no-w line-no-back line-down-read line-read-past line-down-last line-no-look line-cut-off
  line-keep-on
  bind bind-no-binding bind-no-raise bind-equal bind-lost bind-close-any "

search() { # search NAME on|off MODEL OPTIONS...
  local name=$1 want=$2 model=$3 how=-DSAFETY search=; shift 3
  local dir=$work/$name states errors result seconds why=ok; mkdir -p "$dir"; cd "$dir" || exit 2
  case " $* " in *" -DPROGRESS"*) how=-DNFAIR=3 search="-a -f";; esac
  if spin "$@" -a "$here/$model.pml" >spin.out 2>&1 &&
     gcc "-O$level" -w $how -DNOREDUCE -DMEMLIM=5600 -DVECTORSZ=1024 -o pan pan.c >gcc.out 2>&1; then
    nice -n 15 ./pan $search -E -m3000000 -w22 >pan.out 2>&1
  else echo "does not compile" >pan.out; fi
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out | head -1)
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out | head -1)
  if [ "${errors:-0}" -gt 0 ]; then result="counterexample"
  elif [ -z "$errors" ] || grep -qE "not completed|depth too small|out of memory" pan.out; then result="NOT COMPLETED"
  else result="no violation"; fi
  [ $want = on ] && [ "$result" != "no violation" ] && why=FAILED
  [ $want = off ] && { [ "$result" != "counterexample" ] || ! grep -qE "assertion violated|acceptance cycle" pan.out; } && why=FAILED
  # which promise the counterexample breaks
  case "$(grep -m1 -E '^pan:.*(assertion violated|acceptance cycle)' pan.out)" in
    *cycle*) result="no progress";; *before*) result="breaks order";;
    *keeps*) result="breaks B1";; *newest*) result="breaks B2";; *nobody*) result="breaks B3";;
    *lastG*|*lastW*|*asked*|*shared*|*granted*) result="breaks G2";; *gone*) result="breaks G4";; *cold*) result="breaks H";;
    *lost*) result="breaks G8";; *tm*) result="breaks G1";; *assertion*) result="breaks G10";;
  esac
  # processor time, the compiler's too: each search is a subshell of its own
  times >times.out
  seconds=$(awk -F '[ms ]+' 'NR==2 { printf "%.1f", $1*60+$2+$3*60+$4 }' times.out)
  [ $why = ok ] || touch "$work/failed"
  printf '%-6s %-22s %-3s %-14s %10s states %6ss  %s %s\n' $why "$name" $want "$result" "${states:-?}" \
    "$seconds" "$model" "$*"
  cd "$here"; rm -rf "$dir"
}

level=2
run() { # run NAME on|off MODEL OPTIONS...
  if [ "$only" != "  " ]; then case "$only" in *" $1 "*) ;; *) return;; esac
  elif [ $which = ci ]; then case "$CI" in *[[:space:]]"$1"[[:space:]]*) ;; *) return;; esac; fi
  found=$((found+1))
  [ $list ] && { echo "$1"; return; }
  [ $running -ge $jobs ] && { wait -n; running=$((running-1)); }
  search "$@" & running=$((running+1))
}
# A search that is over before the optimizer would be.
tiny() { level=0; run "$@"; level=2; }

# --- the fence knows its opener; undo; release; crash (vote.pml) --------------------------------
tiny hold            on  vote
run hold-three       on  vote -DNA=3 -DTTL=1
tiny hold-no-opener  off vote -DNO_OPENER
tiny hold-no-close   off vote -DNO_CLOSE
tiny undo-any        off vote -DUNDO_ANY
tiny refusers        on  vote -DREFUSERS
run dup-all          on  vote -DDUPMSG
tiny dup-refusers    off vote -DDUPMSG -DREFUSERS
run release          on  vote -DRELEASE -DFORGE
tiny release-match   off vote -DRELEASE -DRELEASE_MATCH_ONLY
tiny release-any     off vote -DFORGE -DRELEASE_ANY
# attempts of one Acquire share its secret
O="-DONE=2 -DNA=3 -DMAXT=3 -DTTL=1"
run one              on  vote $O
run one-late         on  vote $O -DUNDONE
run one-per-lease    off vote $O -DUNDONE -DPER_LEASE
tiny one-own-free    off vote $O -DOWN_FREE
run five             on  vote -DNN=5
run five-three       on  vote -DNN=5 -DNA=3 -DTTL=1 -DNOTICK
tiny five-no-close   off vote -DNN=5 -DNO_CLOSE
tiny five-no-opener  off vote -DNN=5 -DNO_OPENER
run crash            on  vote -DCRASH=1
tiny crash-no-wait   off vote -DCRASH=1 -DNO_QUARANTINE
run tail             on  vote -DTAIL=1 -DTTL=1
run tail-no-run      off vote -DTAIL=1 -DTTL=1 -DNO_RUN
# --- clocks that jump, tokens ahead of them (vote.pml) ---------------------------------------------
tiny jump            off vote -DJUMP=1
tiny jump-token      on  vote -DJUMP=1 -DNO_G1 -DASKED
run jump-three       on  vote -DJUMP=2 -DNO_G1 -DASKED -DNA=3 -DTTL=1
tiny jump-suspect    on  vote -DJUMP=1 -DSUSPECT
run jump-suspect-two on  vote -DJUMP=2 -DSUSPECT
run ahead            on  vote -DAHEAD -DTTL=1 -DNO_G4
tiny ahead-close     off vote -DAHEAD -DTTL=1
run ahead-shut       on  vote -DAHEAD -DTTL=1 -DSHUT_AHEAD
# --- heartbeats (vote.pml) -----------------------------------------------------------------------
run renew            on  vote -DNR=1
run renew-two        on  vote -DNR=2 -DTTL=1
tiny repair-first    off vote -DNR=1 -DREPAIR_FIRST
tiny renew-acquires  off vote -DNR=1 -DRENEW_ACQUIRES
tiny repair-closed   off vote -DNR=1 -DREPAIR_CLOSED
tiny repair-fence    off vote -DNR=1 -DREPAIR_FENCE
run late-count       off vote -DNR=1 -DTTL=1 -DLATE_COUNT
run renew-crash      on  vote -DNR=1 -DCRASH=1 -DTTL=1 -DHELD -DSAME -DQUIET
run repair-amnesia   off vote -DNR=1 -DCRASH=1 -DTTL=1 -DHELD -DSAME -DQUIET -DREPAIR_AMNESIA
run renew-ttls       on  vote -DNR=2 -DSAME -DHELD -DQUIET -DTTLS
run shorten          off vote -DNR=2 -DSAME -DHELD -DQUIET -DTTLS -DSHORTEN
H="-DNA=3 -DMAXT=3 -DNR=2 -DSAME -DTTL=1 -DHELD -DHALF -DNOTICK -DNORELEASE"
run lost             on  vote $H
run lost-undo        off vote $H -DLOST_UNDO
# --- the janitor's mending (vote.pml) --------------------------------------------------------------
N="-DMEND=1 -DTTL=1"
tiny mend            on  vote $N
tiny mend-no-bar     off vote $N -DNO_BAR
tiny mend-few        off vote $N -DBAR_FEW
run mend-ttl         on  vote -DMEND=1
run mend-both        on  vote -DMEND=3 -DTTL=1
run mend-three       on  vote $N -DNA=3 -DNOTICK
run mend-any         off vote $N -DNA=3 -DNOTICK -DMEND_ANY
run mend-crash       on  vote $N -DCRASH=1 -DQUIET
tiny mend-amnesia    off vote $N -DCRASH=1 -DQUIET -DBAR_AMNESIA
V="-DMEND=1 -DNR=1 -DHELD -DSAME -DQUIET"
tiny mend-beat       on  vote $V -DTTL=1
tiny mend-beat-no-bar off vote $V -DTTL=1 -DNO_BAR
run mend-forgets     on  vote $V -DCRASH=1 -DBARRED
run mend-late        off vote $V -DCRASH=1 -DBARRED -DBAR_LATE
# --- what a forgetful node takes over (memory.pml) -----------------------------------------------
R="-DNA=2 -DMAXT=2 -DCRASH=1 -DQUIET -DSTRAY=1"
run rejoin           on  memory $R
run rejoin-one-peer  off memory $R -DONE_PEER
run rejoin-early     off memory $R -DEARLY_READ
tiny rejoin-no-wait  off memory $R -DEARLY_VOTE
run rejoin-nothing   off memory $R -DNO_TAKEOVER
run rejoin-t-only    off memory $R -DT_ONLY
run rejoin-tie       off memory $R -DTIE_FIRST
run clocks           on  memory -DNA=2 -DMAXT=2 -DCRASH=2 -DQUIET -DCLOCKS -DSANE
run clocks-not-sane  off memory -DNA=2 -DMAXT=2 -DCRASH=2 -DQUIET -DCLOCKS
# --- the sweep and its floor (memory.pml) --------------------------------------------------------
S="-DNA=2 -DMAXT=3 -DQUIET -DHELD"
run sweep            on  memory $S -DSWEEPS=2 -DSTRAY=1
tiny sweep-drop-only off memory $S -DSWEEPS=2 -DDROP_ONLY
tiny sweep-low-close-bound on memory $S -DSWEEPS=1 -DSTRAY=1 -DLOW_CLOSE
tiny sweep-low-close off memory $S -DSWEEPS=1 -DSTRAY=1 -DLOW_CLOSE -DFREE_FLOOR
run floor            on  memory $S -DSWEEPS=1 -DCRASH=1
tiny floor-no-peer   off memory $S -DSWEEPS=1 -DCRASH=1 -DNO_PEER_FLOOR
tiny floor-first     off memory $S -DSWEEPS=1 -DCRASH=1 -DFLOOR_FIRST
tiny floor-opener    off memory $S -DSWEEPS=1 -DCRASH=1 -DOPENER_PASSES
run floor-free       on  memory $S -DSWEEPS=1 -DCRASH=1 -DFREE_FLOOR
run floor-stray      on  memory $S -DTOP -DSWEEPS=1 -DCRASH=1 -DSTRAY=1
run floor-low-take   off memory $S -DTOP -DSWEEPS=1 -DCRASH=1 -DSTRAY=1 -DFREE_FLOOR -DLOW_TAKE
# --- bootstrap (bootstrap.pml) -------------------------------------------------------------------
B="-DTTL=1 -DLOSSES=1 -DRESTARTS=0 -DFLUSH"
run boot-claim       on  bootstrap $B
run boot-look-once   off bootstrap $B -DLOOK_ONCE
run boot-some        off bootstrap $B -DSOME
run boot-early-ask   off bootstrap $B -DEARLY_ASK
tiny boot-no-wait    off bootstrap $B -DNO_WAIT
tiny boot-no-cas     off bootstrap $B -DNO_CAS
run boot-no-run      on  bootstrap $B -DNO_RUN
run boot-restart     on  bootstrap -DTTL=1 -DLOSSES=1 -DRESTARTS=1 -DFLUSH
K="-DTTL=1 -DLOSSES=1 -DRESTARTS=0 -DLOOKS"
run boot-looks       on  bootstrap $K
tiny boot-looks-no-run off bootstrap $K -DNO_RUN
tiny boot-flushall   off bootstrap $K -DFLUSH
# --- shared leases (shared.pml) --------------------------------------------------------------------
run share            on  shared
run share-read-past  off shared -DREAD_PAST
tiny share-write-past off shared -DWRITE_PAST
tiny share-new-part  off shared -DNW=0 -DNA=2 -DNEW_PART
run share-beat       on  shared -DNA=2 -DNR=1
Q="-DNW=0 -DNA=2 -DNR=1"
run share-readers    on  shared $Q
tiny share-no-close  off shared $Q -DNO_CLOSE
tiny share-no-shut   off shared $Q -DNO_SHUT
tiny share-shut-below off shared $Q -DSHUT_BELOW
tiny share-close-reads off shared $Q -DCLOSE_READS
run share-close-shuts on shared $Q -DCLOSE_SHUTS
run share-shut-own   off shared -DNW=0 -DNR=1 -DHELD -DSAME -DSHUT_OWN
D="-DNA=2 -DNR=1 -DHELD"
tiny share-repair-any off shared $D -DQUIET -DREPAIR_ANY
run share-forgets    on  shared $D -DNO_SHUT -DNO_G4
run share-ttl        on  shared $D -DTTL=2
run share-crash      on  shared $D -DCRASH=1 -DQUIET
run share-take-reads off shared $D -DCRASH=1 -DQUIET -DTAKE_READS
# --- the waiting line (line.pml) -------------------------------------------------------------------
run line             on  line
tiny line-no-w       off line -DNO_W
tiny line-no-back    off line -DNO_BACK
run line-last        on  line -DPROGRESS=2
tiny line-no-look    off line -DPROGRESS=2 -DNO_LOOK
run line-dead        on  line -DPROGRESS=2 -DDEATHS=1 -DDEAF
tiny line-no-end     off line -DPROGRESS=2 -DDEATHS=1 -DDEAF -DNO_END
run line-read        on  line -DREADERS=5
run line-read-past   off line -DREADERS=5 -DREAD_PAST
run line-read-last   on  line -DPROGRESS=1 -DREADERS=5
U="-DCUT=6 -DOTHER=6"
run line-down        on  line $U
run line-down-last   on  line -DPROGRESS=2 $U
run line-down-first  on  line -DPROGRESS=0 $U
run line-down-read   on  line -DREADERS=5 $U
run line-cut         on  line -DPROGRESS=0 -DCUT=3
run line-cut-last    on  line -DPROGRESS=2 -DCUT=3
run line-cut-off     on  line -DPROGRESS=2 -DCUT=4 -DOTHER=6
tiny line-keep-on    off line -DPROGRESS=2 -DCUT=4 -DOTHER=6 -DKEEP_ON
# --- streams that keep, resume and end one lease (binding.pml) -------------------------------------
run bind             on  binding -DHEARD
tiny bind-no-binding off binding -DNO_BINDING
run bind-no-raise    off binding -DHEARD -DNO_RAISE
run bind-two         on  binding -DNRES=2 -DQUIET -DMAXN=3
tiny bind-equal      off binding -DNRES=2 -DQUIET -DEQUAL
run bind-three       on  binding -DNRES=2 -DSTILL -DMAXN=1
run bind-spare       off binding -DSPARE -DNO_B3
L="-DLOSSES=1 -DNO_B3"
run bind-lost        on  binding $L -DSTILL
run bind-close-any   off binding $L -DSTILL -DCLOSE_ANY -DCLOSE_BOUND
run bind-old-repair  off binding $L -DONE_END -DMAXN=1
run bind-forgets     off binding $L -DNRES=2 -DQUIET -DSTILL
run bind-gave-up     off binding -DSTRICT
run bind-gave-up-mend on binding -DSTRICT -DLATE_CLOSE
M="-DMISSED -DNO_GIVE_UP"
tiny bind-missed     off binding $M -DSTILL
tiny bind-missed-mend on  binding $M -DSTILL -DLATE_CLOSE
tiny bind-alone      off binding $M -DNRES=0
tiny bind-alone-order on  binding $M -DNRES=0 -DNO_LATE

if [ $which = long ]; then
  run hold-three-t3    on vote -DNA=3 -DMAXT=3 -DTTL=1
  run hold-three-ttl2  on vote -DNA=3
  run renew-crash-undo on vote -DNR=1 -DCRASH=1 -DTTL=1 -DHELD -DSAME
  run renew-same       on vote -DNR=2 -DSAME -DTTL=1 -DHELD
  run rejoin-undo      on memory -DNA=2 -DMAXT=2 -DCRASH=1
  run floor-stray-any  on memory $S -DSWEEPS=1 -DCRASH=1 -DSTRAY=1
  run boot-twice       on bootstrap -DTTL=1 -DLOSSES=2 -DRESTARTS=1 -DFLUSH
  run boot-ttl2        on bootstrap -DTTL=2 -DLOSSES=1 -DRESTARTS=0 -DFLUSH
  run share-three      on shared -DNR=1 -DHELD -DSAME
  run share-three-read on shared -DNW=0 -DNR=1 -DHELD -DSAME
  run share-two-write  on shared -DNW=2 -DNR=1 -DHELD -DSAME
  run share-beats      on shared -DNA=2 -DNR=2 -DHELD -DSAME
  run share-crash-three on shared -DCRASH=1 -DQUIET
  run share-crash-undo on shared -DNA=2 -DCRASH=1
  run line-middle      on line -DPROGRESS=1
  run line-first       on line -DPROGRESS=0
  run line-other       on line -DPROGRESS=2 -DREPS=2
  run bind-missed-renews on binding $M -DLATE_CLOSE
  run bind-missed-b1   on binding -DMISSED -DNO_B3
  run bind-three-heard on binding -DNRES=2 -DSTILL -DONE_END -DHEARD
  run bind-open-match  off binding -DOPEN_MATCH -DNO_B3
fi
while [ $running -gt 0 ]; do wait -n; running=$((running-1)); done
[ $found -gt 0 ] || { echo "no such run"; exit 1; }
[ ! -e "$work/failed" ]
