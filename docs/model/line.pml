/* line.pml - the waiting line of one resource: three nodes, two replicas, three waiters.
 *
 * Waiter w has ticket w: the lower goes first, whenever it comes.  Everybody comes once, waits,
 * holds, releases.  Waiter w waits at replica (REPS>>w)&1.
 * NODE     who holds it, and whose entries stand in line.  One message is one step.
 *   hold     refused where somebody holds, or an entry stands ahead (rule w): then it joins.  Else
 *            it holds, and its entry is taken off
 *   undo     a vote without a majority is taken back and joins again with the same ticket, in one step
 *   wake     whoever lets go, or takes off an entry, wakes the first in line, or not (may be lost);
 *            not where a release of that waiter's own replica let go: that one calls its own first
 * WAITER   asks all nodes, in any order; then QUEUED until a majority of nodes is READY for it (by
 *          wake, look, or what a join answered).  What was said is believed once.
 * REPLICA  looks at all nodes in one step, for ever: takes lost places anew and tells its first
 *          waiter which nodes are free for it.  One replica may die, with all that wait or hold
 *          there; what it left at nodes (holds, entries) stands until it runs out: each at any time,
 *          but at last.
 * No clock: a wait has no end, leases of the living do not expire, tokens always pass.
 *
 * Asserted: order     nobody is granted while an earlier one waits that stood at a majority of nodes
 *                     when the attempt began, and has not lost a place to a lost message
 *           progress  every waiter whose replica lives is granted at last (weak fairness of
 *                     each waiter, replica and the running out)
 *
 * Size:     REPS; PROGRESS=w (search the progress of waiter w, each waiter asking the nodes in an
 *           order of its own; else the order is searched), DEATHS=r (replica r-1 may die; 0: none),
 *           DEAF (all wakes are lost), LOSS=k messages lost in all: a hold, its answer, or the
 *           joining that goes with an undo
 * Rules switched OFF:
 *   NO_W         a hold minds only who holds
 *   NO_BACK      an undone vote does not join again
 *   NO_LOOK      replicas do not look (nor take places anew, which answers the same)
 *   NO_END       the entries of the dead stand for ever
 */
#ifndef REPS
#define REPS 6
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef LOSS
#define LOSS 0
#endif
#define NWAIT 3
#define BIT(m,x) (((m)>>(x))&1)
#define MAJORITY(m) ((m)==3 || (m)>=5)
#define REP(w) BIT(REPS,w)
#define ALIVE(w) (dead!=REP(w)+1)
/* an entry stands at x ahead of w */
#define AHEAD(x,w) ((line[x] & ((1<<(w))-1))!=0)
#define FREE(x,w) (hold[x]==0 && !AHEAD(x,w))
#define FIRST(m) (BIT(m,0) -> 0 : (BIT(m,1) -> 1 : 2))

byte hold[3];              /* 0 nobody, else waiter+1 */
byte line[3];              /* a bit per waiter */
byte st[NWAIT];            /* 0 not there 1 asking 2 queued 3 holds 4 over */
byte ready[NWAIT];         /* nodes that would let it have it, as it heard */
byte ask[NWAIT];           /* holds in flight */
byte ok[NWAIT];            /* nodes that voted for */
byte mute[NWAIT];          /* nodes that did not answer */
byte before[NWAIT];        /* earlier waiters that stood at a majority when its attempt began */
byte dead;                 /* 0, or the replica+1 that died */
#if LOSS>0
byte losses;
#endif
#define STANDS(w) (MAJORITY(BIT(line[0],w)+2*BIT(line[1],w)+4*BIT(line[2],w)))

/* node x may have somebody to call; by: replica+1 whose release it was, else 0 */
inline wake(x,by) {
  if
  :: hold[x]==0 && line[x]!=0 ->
     if
#ifndef DEAF
     :: ALIVE(FIRST(line[x])) && by!=REP(FIRST(line[x]))+1 -> ready[FIRST(line[x])]=ready[FIRST(line[x])]|(1<<x)
#endif
     :: skip
     fi
  :: else
  fi
}
/* what was taken from an earlier waiter by a lost message is no place any more */
inline forget(w) {
  before[1]=before[1]&~(1<<w); before[2]=before[2]&~(1<<w)
}
inline join(x,w) {
  line[x]=line[x]|(1<<w);
  if :: FREE(x,w) -> ready[w]=ready[w]|(1<<x) :: else fi
}
#ifdef NO_W
#define WAITS(x,w) 0
#else
#define WAITS(x,w) AHEAD(x,w)
#endif
inline holds(x,w) {
  if
  :: hold[x]!=0 || WAITS(x,w) -> line[x]=line[x]|(1<<w)
  :: else -> hold[x]=w+1; line[x]=line[x]&~(1<<w); ok[w]=ok[w]|(1<<x)
  fi
}
#define LOWNODE(m) n=FIRST(m)
#ifdef PROGRESS
/* each waiter in an order of its own */
#define ANYNODE(m) n=w; do :: !BIT(m,n) -> n=(n+1+(w==1))%3 :: else -> break od
#else
#define ANYNODE(m) if :: BIT(m,0) -> n=0 :: BIT(m,1) -> n=1 :: BIT(m,2) -> n=2 fi
#endif

proctype waiter(byte w) {
  byte n;
  atomic { ALIVE(w) -> st[w]=1 }
  do
  :: atomic { !ALIVE(w) -> goto over }
  :: atomic { ALIVE(w) -> ask[w]=7; ok[w]=0; mute[w]=0; ready[w]=0;
       before[w]=0;
#ifndef PROGRESS
       if :: w>0 && (st[0]==1 || st[0]==2) && STANDS(0) -> before[w]=before[w]|1 :: else fi;
       if :: w>1 && (st[1]==1 || st[1]==2) && STANDS(1) -> before[w]=before[w]|2 :: else fi;
#endif
       skip };
     do
     :: atomic { ask[w]!=0 && ALIVE(w) -> ANYNODE(ask[w]); ask[w]=ask[w]&~(1<<n);
          if
          :: holds(n,w)
#if LOSS>0
          :: losses<LOSS -> losses++; mute[w]=mute[w]|(1<<n)                   /* never arrives */
          :: losses<LOSS -> losses++; mute[w]=mute[w]|(1<<n); holds(n,w); ok[w]=ok[w]&~(1<<n)
#endif
          fi; n=0 }
     :: atomic { ask[w]==0 -> break }
     :: atomic { !ALIVE(w) -> goto over }
     od;
     if
     :: atomic { !ALIVE(w) -> goto over }
     :: atomic { ALIVE(w) && MAJORITY(ok[w]) ->
          assert(before[w]==0);                                                /* order */
          before[w]=0; st[w]=3; ready[w]=0; forget(w); break }
     :: atomic { ALIVE(w) && !MAJORITY(ok[w]) -> before[w]=0; ok[w]=ok[w]|mute[w]; mute[w]=0 };
        do
        :: atomic { ok[w]!=0 && ALIVE(w) -> LOWNODE(ok[w]); ok[w]=ok[w]&~(1<<n);
             if
             :: hold[n]==w+1 -> hold[n]=0;
#ifndef NO_BACK
                if
                :: join(n,w)
#if LOSS>0
                :: losses<LOSS -> losses++; forget(w)
#endif
                fi;
#endif
                wake(n,0)
             :: else
             fi; n=0 }
        :: atomic { ok[w]==0 && ALIVE(w) -> st[w]=2; break }
        :: atomic { !ALIVE(w) -> goto over }
        od;
        if
        :: atomic { ALIVE(w) && MAJORITY(ready[w]) -> st[w]=1 }
        :: atomic { !ALIVE(w) -> goto over }
        fi
     fi
  od;
  /* holds; lets go.  Whoever is first at this replica asks along with it. */
  atomic { ask[w]=7; ok[w]=0; mute[w]=0 };
  if
  :: atomic { ALIVE(w) -> st[w]=4;
       if
       :: w!=0 && REP(0)==REP(w) && (st[0]==1 || st[0]==2) -> ready[0]=7
       :: else ->
          if
          :: w!=1 && REP(1)==REP(w) && (st[1]==1 || st[1]==2) -> ready[1]=7
          :: else -> if :: w!=2 && REP(2)==REP(w) && (st[2]==1 || st[2]==2) -> ready[2]=7 :: else fi
          fi
       fi }
  :: atomic { !ALIVE(w) -> goto over }
  fi;
  do
  :: atomic { ask[w]!=0 -> LOWNODE(ask[w]); ask[w]=ask[w]&~(1<<n);
       line[n]=line[n]&~(1<<w);
       if :: hold[n]==w+1 -> hold[n]=0; wake(n,REP(w)+1) :: else -> skip fi; n=0 }
  :: atomic { ask[w]==0 -> break }
  od;
over:
  atomic { st[w]=4; ask[w]=0; ok[w]=0; mute[w]=0; ready[w]=0; before[w]=0; forget(w) }
}
#ifndef NO_LOOK
/* the first that waits at replica r */
#define WAITING(w) (st[w]==1 || st[w]==2)
#define LOOKS(w,r) (WAITING(w) && REP(w)==r)
#define TAKES(w,r) (st[w]==2 && REP(w)==r)
#define TELL(w,x) ready[w]=(FREE(x,w) -> ready[w]|(1<<(x)) : ready[w]&~(1<<(x)))
proctype replica(bit r) {
  byte n;
  do
  :: atomic { dead!=r+1 && (LOOKS(0,r) || LOOKS(1,r) || LOOKS(2,r)) ->
       d_step { n=0;
         do
         :: n<3 ->
            if :: TAKES(0,r) && hold[n]!=1 -> line[n]=line[n]|1 :: else fi;
            if :: TAKES(1,r) && hold[n]!=2 -> line[n]=line[n]|2 :: else fi;
            if :: TAKES(2,r) && hold[n]!=3 -> line[n]=line[n]|4 :: else fi;
            if
            :: LOOKS(0,r) -> TELL(0,n)
            :: !LOOKS(0,r) && LOOKS(1,r) -> TELL(1,n)
            :: else -> TELL(2,n)
            fi; n++
         :: else -> break
         od; n=0 } }
  :: atomic { dead==r+1 || (st[0]==4 && st[1]==4 && st[2]==4) -> break }
  od
}
#endif
/* what the dead left runs out: only when they are over no message of theirs is on its way */
#define LEFT(x,w) (!ALIVE(w) && st[w]==4 && (hold[x]==w+1 || BIT(line[x],w)))
#define HELD(x,w) (!ALIVE(w) && st[w]==4 && hold[x]==w+1)
#ifdef NO_END
#define RUNSOUT(x,w) HELD(x,w)
#else
#define RUNSOUT(x,w) LEFT(x,w)
#endif
#define RUNSAT(x) (RUNSOUT(x,0) || RUNSOUT(x,1) || RUNSOUT(x,2))
proctype runout() {
  byte n;
end:
  do
  :: atomic { RUNSAT(0) || RUNSAT(1) || RUNSAT(2) ->
       if :: RUNSAT(0) -> n=0 :: RUNSAT(1) -> n=1 :: RUNSAT(2) -> n=2 fi;
       if
       :: hold[n]!=0 && HELD(n,hold[n]-1) -> hold[n]=0
#ifndef NO_END
       :: BIT(line[n],0) && LEFT(n,0) -> line[n]=line[n]&~1
       :: BIT(line[n],1) && LEFT(n,1) -> line[n]=line[n]&~2
       :: BIT(line[n],2) && LEFT(n,2) -> line[n]=line[n]&~4
#endif
       fi;
       wake(n,0); n=0 }
  od
}
#if DEATHS>0
/* while somebody asks, waits or holds there */
#define INSIDE(w) (REP(w)+1==DEATHS && st[w]>0 && st[w]<4)
proctype death() {
  if
  :: atomic { INSIDE(0) || INSIDE(1) || INSIDE(2) -> dead=DEATHS }
  :: st[0]==4 && st[1]==4 && st[2]==4 -> skip
  fi
}
#endif
init {
  atomic {
   
#ifndef NO_LOOK
    run replica(0); run replica(1);
#endif
#if DEATHS>0
    run runout(); run death();
#endif
    run waiter(0); run waiter(1); run waiter(2) }
}
#ifdef PROGRESS
ltl progress { [] ((st[PROGRESS]==1 || st[PROGRESS]==2) -> <> (st[PROGRESS]>2 || !ALIVE(PROGRESS))) }
#endif
