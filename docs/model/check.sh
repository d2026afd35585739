#!/bin/bash
# check.sh [--long] [NAME...]: search the models of this folder, one line a run.
# A run is `on` (all rules in force: the search must end and find nothing) or `off` (one rule
# switched off: a counterexample must be found).  With -DPROGRESS the search is for a cycle without
# progress under weak fairness.  Exit 1 when a run does otherwise.
# Needs spin and gcc; at most 6 GB of memory; exhaustive, no bitstate, no hash compaction.
here=$(cd "$(dirname "$0")" && pwd)
for tool in spin gcc; do
  command -v $tool >/dev/null || { echo "$tool is missing: apt-get install spin gcc"; exit 2; }
done
long=0; [ "$1" = --long ] && { long=1; shift; }
only=" $* "; work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; failed=0

run() { # run NAME on|off MODEL OPTIONS...
  local name=$1 want=$2 model=$3 how=-DSAFETY search=; shift 3
  [ "$only" = "  " ] || case "$only" in *" $name "*) ;; *) return;; esac
  local dir=$work/$name start end states errors result why=ok; mkdir -p "$dir"; cd "$dir" || exit 2
  case " $*" in *" -DPROGRESS"*) how=-DNFAIR=3 search="-a -f";; esac
  start=$(date +%s%N)
  if spin "$@" -a "$here/$model.pml" >spin.out 2>&1 &&
     gcc -O2 -w $how -DNOREDUCE -DMEMLIM=5600 -DVECTORSZ=1024 -o pan pan.c >gcc.out 2>&1; then
    nice -n 15 ./pan $search -E -m3000000 -w24 >pan.out 2>&1
  else echo "does not compile" >pan.out; fi
  end=$(date +%s%N)
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
    *lastG*|*lastW*|*asked*|*shared*) result="breaks G2";; *gone*) result="breaks G4";; *cold*) result="breaks H";;
    *lost*) result="breaks G8";; *tm*) result="breaks G1";; *assertion*) result="breaks G10";;
  esac
  [ $why = ok ] || failed=1
  printf '%-6s %-22s %-3s %-14s %10s states %4d.%ds  %s %s\n' $why "$name" $want "$result" "${states:-?}" \
    $(( (end-start)/1000000000 )) $(( (end-start)/100000000%10 )) "$model" "$*"
  cd "$here"; rm -rf "$dir"
}

# --- the fence knows its opener; undo; release; crash (vote.pml) --------------------------------
run hold             on  vote
run hold-three       on  vote -DNA=3 -DTTL=1
run hold-no-opener   off vote -DNO_OPENER
run hold-no-close    off vote -DNO_CLOSE
run undo-any         off vote -DUNDO_ANY
run refusers         on  vote -DREFUSERS
run dup-all          on  vote -DDUPMSG
run dup-refusers     off vote -DDUPMSG -DREFUSERS
run release          on  vote -DRELEASE -DFORGE
run release-match    off vote -DRELEASE -DRELEASE_MATCH_ONLY
run release-any      off vote -DFORGE -DRELEASE_ANY
run crash            on  vote -DCRASH=1
run crash-no-wait    off vote -DCRASH=1 -DNO_QUARANTINE
# --- heartbeats (vote.pml) -----------------------------------------------------------------------
run renew            on  vote -DNR=1
run renew-two        on  vote -DNR=2 -DTTL=1
run repair-first     off vote -DNR=1 -DREPAIR_FIRST
run renew-acquires   off vote -DNR=1 -DRENEW_ACQUIRES
run repair-closed    off vote -DNR=1 -DREPAIR_CLOSED
run repair-fence     off vote -DNR=1 -DREPAIR_FENCE
run late-count       off vote -DNR=1 -DTTL=1 -DLATE_COUNT
run renew-crash      on  vote -DNR=1 -DCRASH=1 -DTTL=1 -DHELD -DSAME -DQUIET
run repair-amnesia   off vote -DNR=1 -DCRASH=1 -DTTL=1 -DHELD -DSAME -DQUIET -DREPAIR_AMNESIA
run renew-ttls       on  vote -DNR=2 -DSAME -DHELD -DQUIET -DTTLS
run shorten          off vote -DNR=2 -DSAME -DHELD -DQUIET -DTTLS -DSHORTEN
H="-DNA=3 -DMAXT=3 -DNR=2 -DSAME -DTTL=1 -DHELD -DHALF -DNOTICK -DNORELEASE"
run lost             on  vote $H
run lost-undo        off vote $H -DLOST_UNDO
# --- what a forgetful node takes over (memory.pml) -----------------------------------------------
R="-DNA=2 -DMAXT=2 -DCRASH=1 -DQUIET -DSTRAY=1"
run rejoin           on  memory $R
run rejoin-one-peer  off memory $R -DONE_PEER
run rejoin-early     off memory $R -DEARLY_READ
run rejoin-no-wait   off memory $R -DEARLY_VOTE
run rejoin-nothing   off memory $R -DNO_TAKEOVER
run rejoin-t-only    off memory $R -DT_ONLY
run rejoin-tie       off memory $R -DTIE_FIRST
run clocks           on  memory -DNA=2 -DMAXT=2 -DCRASH=2 -DQUIET -DCLOCKS -DSANE
run clocks-not-sane  off memory -DNA=2 -DMAXT=2 -DCRASH=2 -DQUIET -DCLOCKS
# --- the sweep and its floor (memory.pml) --------------------------------------------------------
S="-DNA=2 -DMAXT=3 -DQUIET -DHELD"
run sweep            on  memory $S -DSWEEPS=2 -DSTRAY=1
run sweep-drop-only  off memory $S -DSWEEPS=2 -DDROP_ONLY
run sweep-low-close  off memory $S -DSWEEPS=1 -DSTRAY=1 -DLOW_CLOSE
run floor            on  memory $S -DSWEEPS=1 -DCRASH=1
run floor-no-peer    off memory $S -DSWEEPS=1 -DCRASH=1 -DNO_PEER_FLOOR
run floor-first      off memory $S -DSWEEPS=1 -DCRASH=1 -DFLOOR_FIRST
run floor-stray      on  memory $S -DTOP -DSWEEPS=1 -DCRASH=1 -DSTRAY=1
run floor-low-take   off memory $S -DTOP -DSWEEPS=1 -DCRASH=1 -DSTRAY=1 -DLOW_TAKE
# --- bootstrap (bootstrap.pml) -------------------------------------------------------------------
B="-DTTL=1 -DLOSSES=1 -DRESTARTS=0"
run boot             on  bootstrap $B
run boot-look-once   off bootstrap $B -DLOOK_ONCE
run boot-no-run      off bootstrap $B -DNO_RUN
run boot-some        off bootstrap $B -DSOME
run boot-early-ask   off bootstrap $B -DEARLY_ASK
run boot-no-wait     off bootstrap $B -DNO_WAIT
run boot-no-cas      off bootstrap $B -DNO_CAS
run boot-flushall    off bootstrap $B -DFLUSH
# --- shared leases (shared.pml) --------------------------------------------------------------------
run share            on  shared
run share-read-past  off shared -DREAD_PAST
run share-write-past off shared -DWRITE_PAST
run share-new-part   off shared -DNW=0 -DNA=2 -DNEW_PART
run share-beat       on  shared -DNA=2 -DNR=1
Q="-DNW=0 -DNA=2 -DNR=1"
run share-readers    on  shared $Q
run share-no-close   off shared $Q -DNO_CLOSE
run share-no-shut    off shared $Q -DNO_SHUT
run share-shut-below off shared $Q -DSHUT_BELOW
run share-close-reads off shared $Q -DCLOSE_READS
run share-close-shuts on shared $Q -DCLOSE_SHUTS
run share-shut-own   off shared -DNW=0 -DNR=1 -DHELD -DSAME -DSHUT_OWN
D="-DNA=2 -DNR=1 -DHELD"
run share-repair-any off shared $D -DQUIET -DREPAIR_ANY
run share-forgets    on  shared $D -DNO_SHUT -DNO_G4
run share-ttl        on  shared $D -DTTL=2
run share-crash      on  shared $D -DCRASH=1 -DQUIET
run share-take-reads off shared $D -DCRASH=1 -DQUIET -DTAKE_READS
# --- the waiting line (line.pml) -------------------------------------------------------------------
run line             on  line
run line-no-w        off line -DNO_W
run line-no-back     off line -DNO_BACK
run line-last        on  line -DPROGRESS=2
run line-no-look     off line -DPROGRESS=2 -DNO_LOOK
run line-dead        on  line -DPROGRESS=2 -DDEATHS=1 -DDEAF
run line-no-end      off line -DPROGRESS=2 -DDEATHS=1 -DDEAF -DNO_END
# --- streams that keep, resume and end one lease (binding.pml) -------------------------------------
run bind             on  binding -DHEARD
run bind-no-binding  off binding -DNO_BINDING
run bind-no-raise    off binding -DHEARD -DNO_RAISE
run bind-two         on  binding -DNRES=2 -DQUIET -DMAXN=3
run bind-equal       off binding -DNRES=2 -DQUIET -DEQUAL
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
run bind-missed      off binding $M -DSTILL
run bind-missed-mend on  binding $M -DSTILL -DLATE_CLOSE
run bind-alone       off binding $M -DNRES=0
run bind-alone-order on  binding $M -DNRES=0 -DNO_LATE

if [ $long = 1 ]; then
  run hold-three-t3    on vote -DNA=3 -DMAXT=3 -DTTL=1
  run hold-three-ttl2  on vote -DNA=3
  run renew-crash-undo on vote -DNR=1 -DCRASH=1 -DTTL=1 -DHELD -DSAME
  run renew-same       on vote -DNR=2 -DSAME -DTTL=1 -DHELD
  run rejoin-undo      on memory -DNA=2 -DMAXT=2 -DCRASH=1
  run floor-stray-any  on memory $S -DSWEEPS=1 -DCRASH=1 -DSTRAY=1
  run boot-restart     on bootstrap -DTTL=1 -DLOSSES=1 -DRESTARTS=1
  run boot-claim       on bootstrap $B -DFLUSH -DCLAIM
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
exit $failed
