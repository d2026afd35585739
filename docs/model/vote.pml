/* vote.pml - one resource, three nodes: hold, undo, heartbeat (renew + repair), client release.
 *
 * The model is one process of guarded atomic actions (a next-state relation).
 * ATTEMPT  one hold of one lease value `lease|T`.  Every attempt is its own lease with its own
 *          T; two attempts may draw the SAME T, or a smaller T than an earlier one: clocks are
 *          independent.  Up to NA attempts run side by side.
 * NETWORK  a request in flight is a bit per node: any delay, loss (never delivered), any order.
 *          A lost reply is an answer nobody acts on: every decision is optional.
 * TIME     relative: holders, validity and quarantine hold remaining ticks, an attempt and a
 *          heartbeat hold elapsed ticks; Tick moves all of them.  Total time is unbounded.
 * FENCE    one byte: T*8 + s; s = opener (attempt+1) or 7 = closed; 0 = no fence.
 * MENDING  (MEND) the janitor ends a lease that some node holds: BAR to all nodes, and when a majority is barred in
 *          time, undos to all.  It looks at nothing before it bars: when and whom it mends is open, so that rules
 *          1 to 4 of remains.ts, whatever they let through, can do no more harm than this.
 * ROUND    one Heartbeat at some replica.  Two rounds may run at the same time, also for one
 *          lease (a client that timed out and asked another replica); each has its own ttl.
 *
 * Asserted: G1  no two leases are valid at once (validity as their clients count it)
 *           G2  each grant's token is larger than every earlier grant's; a renewed lease is
 *               still the newest grant
 *           G4  a hold or repair is never accepted at a node that ran this attempt's undo or
 *               was barred for it, or that no undo will reach
 *           H   a Heartbeat is never an acquire: what no node holds is not renewed
 *           G10 an undo closes no fence that a live lease opened; no release with a made-up id
 *               moves a fence
 *
 * Size:     NA attempts, MAXT largest token, TTL, NR rounds, SAME (all rounds belong to attempt
 *           0; else round r belongs to attempt r), CRASH=k crashes with total loss, one node at
 *           a time (9 = any number), RELEASE (the client's release in its two phases; without it a
 *           release is an undo sent to all nodes, of which any may be lost: that includes all
 *           that the two phases can do to G1 and G2), FORGE (somebody releases made-up ids),
 *           REFUSERS (undo skips the nodes that refused; without it: goes to all, may be lost)
 *           HELD (start with attempt 0 just granted by nodes 1 and 2, its hold to 3 in flight),
 *           HALF (with HELD: its validity has ended, node 2's copy has run out already, and
 *           attempt 1 holds node 3 alone with a smaller T), NORELEASE,
 *           TTLS (round r asks for ttl r+1, else for any up to TTL),
 *           QUIET (nobody undoes or releases), NOTICK (all within one tick),
 *           NN nodes (3 or 5; 5 without heartbeats, releases in two phases and crashes),
 *           ONE=k (attempts 0 to k-1 are those of one Acquire: one secret, one after the other),
 *           UNDONE (start where attempt 0 has met node 3 alone, with T = 1, and its undo is on the way),
 *           TAIL=k (k restarts that lose the node's last write alone: appendfsync everysec; its meta
 *           then names an older run, so it waits and takes over as after a crash),
 *           JUMP=k (k times a node's wall clock jumps forward: what it holds ends early), SUSPECT
 *           (each jump is noticed before the node votes again: it is silent for TTL from then on),
 *           AHEAD (rule e: each node's clock takes tokens up to some T, and goes on; an attempt may
 *           pass the fence that refused it by one, whatever the clocks say), SHUT_AHEAD (a token that a
 *           close may not raise the fence to is remembered as closed: the code does not have it),
 *           SANE (each new T is above all earlier ones),
 *           BARRED (with HELD, MEND, CRASH=1: node 3 has been barred for attempt 0, and has forgotten all since),
 *           MEND=m (the attempts in the mask m may be mended, each once, by menders side by side),
 *           ASKED (G2 as the guarantees word it: a grant's token is larger than those of all grants that
 *           were answered before it was asked for, and no two share one), NO_G1, NO_G4 (that promise is not asserted)
 * Rules switched OFF (each must give a counterexample):
 *   NO_OPENER        the fence does not know who opened it: equal T is accepted unless closed
 *   UNDO_ANY         an undo closes a fence of the same T that another lease opened
 *   NO_CLOSE         undo and release delete but do not close
 *   REPAIR_FIRST     repair is sent to MISSING nodes without any match
 *   REPAIR_CLOSED    repair ignores that its T was closed
 *   REPAIR_FENCE     repair ignores the fence altogether
 *   REPAIR_AMNESIA   repair is executed by a node in quarantine
 *   RENEW_ACQUIRES   renew itself re-creates on a node where nobody holds
 *   SHORTEN          an extension may shorten
 *   LATE_COUNT       renewed validity counts from the repair, not from before the renew
 *   NO_QUARANTINE    a node that lost everything votes at once
 *   RELEASE_MATCH_ONLY  release closes only where it matched
 *   RELEASE_ANY      release closes also without a match anywhere
 *   DUPMSG           (with REFUSERS) the transport may deliver a hold twice; without REFUSERS
 *                    this is harmless
 *   PER_LEASE        the value names the lease, not the attempt (with ONE)
 *   OWN_FREE         another attempt of the same secret is no holder in the way (with ONE)
 *   NO_RUN           the meta is not bound to the process run (with TAIL)
 *   NO_BAR           (with MEND) the mender asks nodes whether they hold it, and shuts nothing
 *   BAR_FEW          one barred node is enough for the mender
 *   BAR_AMNESIA      a node in quarantine is barred like any other: what it forgot counts as not held
 *   BAR_LATE         barred nodes count however long ago the first bar was sent
 *   MEND_ANY         the mender lets go of whatever the node holds
 *   LOST_UNDO        a Heartbeat that ends in LEASE_LOST undoes what it matched or repaired
 */
#ifndef NA
#define NA 2
#endif
#ifndef MAXT
#define MAXT 2
#endif
#ifndef TTL
#define TTL 2
#endif
#ifndef NR
#define NR 0
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifndef TAIL
#define TAIL 0
#endif
#ifndef JUMP
#define JUMP 0
#endif
#ifndef ONE
#define ONE 0
#endif
#ifndef MEND
#define MEND 0
#endif
#ifndef NN
#define NN 3
#endif
#ifdef SAME
#define RA(r) 0
#else
#define RA(r) (r)
#endif
#if NN!=3 && (NR>0 || CRASH>0 || TAIL>0 || defined(RELEASE) || defined(HELD))
#error five nodes: holds and undos alone
#endif
#define MAJ (NN/2+1)
#define ALL ((1<<NN)-1)
#define BIT(m,x) (((m)>>(x))&1)
/* of one Acquire: they share the secret */
#define SEC(b) ((b)<ONE -> 0 : (b))
#define OURS(x,b) (own[x]!=0 && SEC(own[x]-1)==SEC(b))
#ifdef PER_LEASE
#define MATCHES(x,b) OURS(x,b)
#else
#define MATCHES(x,b) (own[x]==b+1)
#endif
#if defined(PER_LEASE) || defined(OWN_FREE)
#define INWAY(x,b) (own[x]!=0 && !OURS(x,b))
#else
#define INWAY(x,b) (own[x]!=0)
#endif
#if NN==3
#define HOLDS(b) (own[0]==b+1 || own[1]==b+1 || own[2]==b+1)
#else
#define HOLDS(b) (own[0]==b+1 || own[1]==b+1 || own[2]==b+1 || own[3]==b+1 || own[4]==b+1)
#endif
#define FT(x) (fen[x]>>3)
#define FS(x) (fen[x]&7)

/* rule d */
#ifdef NO_OPENER
#define STALE(x,b) (tk[b]<FT(x) || (tk[b]==FT(x) && FS(x)==7))
#else
#define STALE(x,b) (tk[b]<FT(x) || (tk[b]==FT(x) && FS(x)!=b+1))
#endif
#if defined(REPAIR_FENCE)
#define RSTALE(x,b) (0)
#elif defined(REPAIR_CLOSED)
#define RSTALE(x,b) (tk[b]<FT(x) || (tk[b]==FT(x) && FS(x)!=b+1 && FS(x)!=7))
#else
#define RSTALE(x,b) STALE(x,b)
#endif

byte own[NN]; byte orem[NN]; byte fen[NN];
#if CRASH>0 || TAIL>0
bit amn[NN]; byte quar[NN]; byte faults;
#define FORGOT(x) amn[x]
#else
#define FORGOT(x) 0
#endif
#if TAIL>0
byte pown[NN]; byte porem[NN]; byte pfen[NN]; bit wrote[NN];   /* before the last write */
#endif
#if JUMP>0
byte jumps;
#endif
#ifdef SUSPECT
byte sus[NN];
#define AMN(x) (FORGOT(x) || sus[x]!=0)
#else
#define AMN(x) FORGOT(x)
#endif
#ifdef AHEAD
byte lim[NN];              /* the largest T that its clock takes */
byte sn[NA];               /* the fence that refused the attempt before */
bit rel[NA];               /* it was released: by whoever knows the lease, not what it had seen */
#define FAR(x,b,s) (tk[b]>lim[x] && !(FT(x)!=0 && tk[b]<=FT(x)+1) && !((s)!=0 && tk[b]<=(s)+1))
#else
#define FAR(x,b,s) 0
#endif
#ifdef SHUT_AHEAD
byte shut[NA];             /* nodes that remember that it is closed */
#define SHUT(x,b) BIT(shut[b],x)
#else
#define SHUT(x,b) 0
#endif
#if ONE>0
bit served;                /* the Acquire has its lease */
#endif
byte ph[NA];               /* 0 not started 1 voting 2 granted 3 undone or released */
byte tk[NA]; byte tm[NA];  /* token; elapsed ticks (voting) or remaining validity (granted) */
byte acq[NA]; byte und[NA];/* hold, undo in flight */
byte ok[NA];               /* nodes that voted for */
byte gone[NA];             /* nodes that ran the undo, or will never get it (for G4) */
#ifdef RELEASE
byte rlm[NA]; byte rno[NA]; bit rmt[NA];  /* release in flight; answered no match; some match */
#endif
#ifdef REFUSERS
byte rfu[NA];              /* nodes that refused */
#endif
#ifdef DUPMSG
byte okm[NA];              /* nodes whose vote was counted */
#endif
#if MEND>0
byte ms[NA];               /* 0 not mended 1 bars are out 2 decided or given up */
byte me[NA];               /* elapsed */
byte mb[NA]; byte mk[NA];  /* bar in flight; nodes that said they are barred */
#ifdef MEND_ANY
byte mu[NA];               /* let go of whatever is held: in flight */
#endif
#endif
#if NR>0
byte rs[NR];               /* 0 not started 1 running 2 over */
byte re[NR]; byte rt[NR];  /* elapsed; ttl asked for */
byte rn[NR]; byte mi[NR];  /* renew in flight; MISSING was answered, repair due or in flight */
bit rg[NR];                /* some node matched: repair is allowed */
bit cold[NR];               /* the lease was nowhere held, nor about to be, when it began */
byte r1[NR]; byte r2[NR];  /* the longest and the second longest that nodes said they keep it */
#ifdef LOST_UNDO
byte rf[NR]; byte rm[NR];  /* MISSING or repair refused (count); matched or repaired (mask) */
#endif
#endif
byte lastG;
#ifdef SANE
byte lastT;
#endif
#ifdef ASKED
byte asked[NA];            /* the highest grant when it was asked for */
byte granted;              /* a bit per granted token */
#endif
byte a; byte r; byte n; byte t; byte i; int k0; int k1;   /* scratch, 0 in every stored state */

inline vote(x,b) {
  if
#ifdef DUPMSG
  :: ph[b]==1 && !BIT(okm[b],x) -> okm[b]=okm[b]|(1<<x); ok[b]=ok[b]+1
#else
  :: ph[b]==1 && ok[b]<MAJ -> ok[b]=ok[b]+1
#endif
  :: else
  fi
}
#ifdef NO_G4
#define G4(x,b) skip
#else
#define G4(x,b) assert(BIT(gone[b],x)==0)                    /* G4 */
#endif
/* what a restart without it finds */
inline save(x) {
#if TAIL>0
  pown[x]=own[x]; porem[x]=orem[x]; pfen[x]=fen[x]; wrote[x]=1
#else
  skip
#endif
}
inline hold(x,b) {
  if
  :: AMN(x) -> skip                                          /* AMNESIA = silent */
  :: else ->
     if
     :: own[x]==b+1 -> vote(x,b)                             /* DUP */
     :: own[x]!=b+1 && (INWAY(x,b) || STALE(x,b) || SHUT(x,b) || FAR(x,b,sn[b])) ->
#ifdef REFUSERS
        if :: ph[b]==1 -> rfu[b]=rfu[b]|(1<<x) :: else fi;
#endif
        skip
     :: else ->
        G4(x,b);
        save(x); own[x]=b+1; orem[x]=TTL; fen[x]=tk[b]*8+b+1; vote(x,b)
     fi
  fi
}
inline undo(x,b) {
  gone[b]=gone[b]|(1<<x);
  save(x);
  if
  :: MATCHES(x,b) -> own[x]=0; orem[x]=0; t=1
  :: else -> t=0
  fi;
#ifndef NO_CLOSE
  if
#ifdef AHEAD
  :: t==0 && FAR(x,b,(rel[b] -> 0 : sn[b])) ->                /* no match: the fence may not go so far */
#ifdef SHUT_AHEAD
     shut[b]=shut[b]|(1<<x)
#else
     skip
#endif
#endif
  :: (t==1 || !FAR(x,b,(rel[b] -> 0 : sn[b]))) &&
     (FT(x)<tk[b] || (FT(x)==tk[b] && FS(x)==b+1)) -> fen[x]=tk[b]*8+7
#ifdef UNDO_ANY
  :: FT(x)==tk[b] && FS(x)!=b+1 ->
     assert(FS(x)==7 || ph[FS(x)-1]==3);                     /* G10 */
     fen[x]=tk[b]*8+7
#endif
  :: else
  fi;
#endif
  t=0
}
#if MEND>0
#ifdef BAR_AMNESIA
#define BARS(x) 1
#else
#define BARS(x) !AMN(x)
#endif
#ifdef BAR_FEW
#define ENOUGH(m) ((m)!=0)
#else
#define ENOUGH(m) (BIT(m,0)+BIT(m,1)+BIT(m,2)>=MAJ)
#endif
#ifdef BAR_LATE
#define INTIME(b) 1
#else
#define INTIME(b) (me[b]<TTL)
#endif
inline bar(x,b) {
  if
  :: BARS(x) && own[x]!=b+1 ->
#ifdef NO_BAR
     if :: ms[b]==1 -> mk[b]=mk[b]|(1<<x) :: else fi
#else
     save(x);
     if
     :: !FAR(x,b,0) && (FT(x)<tk[b] || (FT(x)==tk[b] && FS(x)==b+1)) -> fen[x]=tk[b]*8+7
     :: else
     fi;
     if
     :: STALE(x,b) -> gone[b]=gone[b]|(1<<x);
        if :: ms[b]==1 -> mk[b]=mk[b]|(1<<x) :: else fi
     :: else
     fi
#endif
  :: else                                                    /* held, or silent */
  fi
}
#endif
#if NR>0
inline counted(x,q) {
  if
  :: rs[q]==1 && orem[x]>r1[q] -> r2[q]=r1[q]; r1[q]=orem[x]
  :: rs[q]==1 && orem[x]<=r1[q] && orem[x]>r2[q] -> r2[q]=orem[x]
  :: else
  fi;
#ifdef LOST_UNDO
  if :: rs[q]==1 -> rm[q]=rm[q]|(1<<x) :: else fi
#endif
}
#endif
#if CRASH>0 || TAIL>0
inline take(x,y) {
  save(x);
  if
  :: FT(x)<FT(y) -> fen[x]=fen[y]
  :: FT(x)==FT(y) && fen[x]!=fen[y] -> fen[x]=FT(x)*8+7
  :: else
  fi
}
#endif
inline mutex(b) {
  i=0;
  do
#ifdef NO_G1
  :: i<NA -> i++
#else
  :: i<NA -> assert(!(i!=b && ph[i]==2 && tm[i]>0)); i++     /* G1 */
#endif
  :: else -> break
  od; i=0
}
/* from here on no fence goes down any more */
#if CRASH+TAIL==0
#define LASTING 1
#elif CRASH<9
#define LASTING (faults==CRASH+TAIL)
#else
#define LASTING 0
#endif
#ifdef REPAIR_FIRST
#define MAYREPAIR 1
#else
#define MAYREPAIR rg[r]
#endif
#ifdef REPAIR_AMNESIA
#define RVOTES(x) 1
#else
#define RVOTES(x) !AMN(x)
#endif
#define ANYA a=0; do :: (a<NA-1) -> a++ :: break od
#define ANYN n=0; do :: (n<NN-1) -> n++ :: break od
#define ANYR r=0; do :: (r<NR-1) -> r++ :: break od
#define ONLY(c) if :: (c) :: else -> goto norm fi

/* nodes are interchangeable: keep them sorted */
#define SW(v,x,y) t=v[x]; v[x]=v[y]; v[y]=t
#define SWB(m,x,y) if :: BIT(m,x)!=BIT(m,y) -> m=m^((1<<x)|(1<<y)) :: else fi
inline key(k,x) {
  k=own[x]+4*orem[x]+16*fen[x];
#if CRASH>0 || TAIL>0
  k=k+1024*amn[x]+2048*quar[x];
#endif
#if TAIL>0
  k=k*2+wrote[x];
#endif
#ifdef SUSPECT
  k=k*4+sus[x];
#endif
#ifdef AHEAD
  k=k*4+lim[x];
#endif
  a=0;
  do
  :: a<NA -> k=(k*2+BIT(acq[a],x))*2+BIT(und[a],x);
#ifdef RELEASE
     k=(k*2+BIT(rlm[a],x))*2+BIT(rno[a],x);
#endif
#ifdef REFUSERS
     k=k*2+BIT(rfu[a],x);
#endif
#if MEND>0
     k=(k*2+BIT(mb[a],x))*2+BIT(mk[a],x);
#endif
#ifdef MEND_ANY
     k=k*2+BIT(mu[a],x);
#endif
     a++
  :: else -> break
  od;
#if NR>0
  r=0;
  do
  :: r<NR -> k=(k*2+BIT(rn[r],x))*2+BIT(mi[r],x); r++
  :: else -> break
  od
#endif
}
inline sortpair(x,y) {
  key(k0,x); key(k1,y);
  if
  :: k0>k1 ->
     SW(own,x,y); SW(orem,x,y); SW(fen,x,y);
#if CRASH>0 || TAIL>0
     SW(amn,x,y); SW(quar,x,y);
#endif
#if TAIL>0
     SW(pown,x,y); SW(porem,x,y); SW(pfen,x,y); SW(wrote,x,y);
#endif
#ifdef SUSPECT
     SW(sus,x,y);
#endif
#ifdef AHEAD
     SW(lim,x,y);
#endif
     a=0;
     do
     :: a<NA -> SWB(acq[a],x,y); SWB(und[a],x,y); SWB(gone[a],x,y);
#ifdef RELEASE
        SWB(rlm[a],x,y); SWB(rno[a],x,y);
#endif
#ifdef REFUSERS
        SWB(rfu[a],x,y);
#endif
#ifdef DUPMSG
        SWB(okm[a],x,y);
#endif
#ifdef SHUT_AHEAD
        SWB(shut[a],x,y);
#endif
#if MEND>0
        SWB(mb[a],x,y); SWB(mk[a],x,y);
#endif
#ifdef MEND_ANY
        SWB(mu[a],x,y);
#endif
        a++
     :: else -> break
     od;
#if NR>0
     r=0;
     do
     :: r<NR -> SWB(rn[r],x,y); SWB(mi[r],x,y);
#ifdef LOST_UNDO
        SWB(rm[r],x,y);
#endif
        r++
     :: else -> break
     od
#endif
  :: else
  fi
}

init {
#ifdef UNDONE
  d_step { tk[0]=1; ph[0]=3; own[2]=1; orem[2]=TTL; fen[2]=9; und[0]=4;
#ifdef SANE
    lastT=1;
#endif
    skip };
#endif
#ifdef HELD
  atomic { t=1; do :: (t<MAXT) -> t++ :: break od; tk[0]=t; lastG=t; ph[0]=2;
    tm[0]=1; do :: (tm[0]<TTL) -> tm[0]=tm[0]+1 :: break od;
    orem[0]=tm[0]; do :: (orem[0]<TTL) -> orem[0]=orem[0]+1 :: break od;
    orem[1]=tm[0]; do :: (orem[1]<TTL) -> orem[1]=orem[1]+1 :: break od;
    own[0]=1; own[1]=1; fen[0]=t*8+1; fen[1]=t*8+1; acq[0]=4; t=0;
#ifdef HALF
    own[1]=0; orem[1]=0; tm[0]=0;
    tk[0]=2; lastG=2; fen[0]=17; fen[1]=17; t=1;
    ph[1]=1; tk[1]=t; own[2]=2; orem[2]=TTL; fen[2]=t*8+2; acq[0]=0; ok[1]=1; t=0;
#endif
#ifdef BARRED
    acq[0]=0; ms[0]=1; mb[0]=2; mk[0]=4; amn[2]=1; quar[2]=TTL; faults=1;
#endif
    goto norm };
#endif
end:
  do
  /* start: any T.  Attempts are interchangeable before they start, so they start in order. */
  :: atomic { ANYA;
#if ONE>0
       ONLY(ph[a]==0 && (a==0 || a==ONE || ph[a-1]==3 || (a>ONE && ph[a-1]!=0)) && !(a<ONE && served));
#else
       ONLY(ph[a]==0 && (a==0 || ph[(a+NA-1)%NA]!=0));
#endif
#ifdef SANE
       t=lastT+1; ONLY(t<=MAXT); lastT=t;
#else
       t=1; do :: (t<MAXT) -> t++ :: break od; 1;
#endif
#if ONE>0
       ONLY(a==0 || a>=ONE || tk[0]!=t);                 /* nobody proposes a token twice */
#endif
#ifdef AHEAD
       i=0;
       if
       :: i=0 :: FT(0)<t -> i=FT(0) :: FT(1)<t -> i=FT(1) :: FT(2)<t -> i=FT(2)
       fi;
       sn[a]=i;
#endif
       d_step { tk[a]=t; ph[a]=1; acq[a]=ALL; i=0;
#ifdef ASKED
         asked[a]=lastG;
#endif
         skip }; goto norm }
  /* grant: a majority for, within validity counted from before the first send */
  :: atomic { ANYA; ONLY(ph[a]==1 && ok[a]>=MAJ && tm[a]<TTL);
       d_step { mutex(a);                                          /* G1 */
#ifdef ASKED
         assert(tk[a]>asked[a]); assert(!BIT(granted,tk[a]));        /* G2 */
         granted=granted|(1<<tk[a]); asked[a]=0;
#else
         assert(tk[a]>lastG);                                        /* G2 */
#endif
#if ONE>0
         if :: a<ONE -> served=1 :: else fi;
#endif
         if :: lastG<tk[a] -> lastG=tk[a] :: else fi;
         ph[a]=2; tm[a]=TTL-tm[a]; ok[a]=0 }; goto norm }
#ifndef QUIET
  /* the proposer undoes: timeout, refusal, cancel */
  :: atomic { ANYA; ONLY(ph[a]==1);
       d_step { ph[a]=3; tm[a]=0; ok[a]=0; und[a]=ALL;
#ifdef ASKED
         asked[a]=0;
#endif
#ifdef REFUSERS
         und[a]=ALL&~rfu[a]; gone[a]=rfu[a];
#endif
         skip }; goto norm }
#ifndef NORELEASE
  /* the client releases, at any replica */
  :: atomic { ANYA; ONLY(ph[a]==2);
       d_step { ph[a]=3; tm[a]=0;
#ifdef AHEAD
         rel[a]=1;
#endif
#ifdef RELEASE
         rlm[a]=7
#else
         und[a]=ALL
#endif
       }; goto norm }
#endif
#endif
#ifdef RELEASE
  /* after one match the id is genuine: close where it did not match */
  :: atomic { ANYA; ONLY(rmt[a] && rno[a]!=0);
       d_step {
#ifdef RELEASE_MATCH_ONLY
         gone[a]=gone[a]|rno[a];
#else
         und[a]=und[a]|rno[a];
#endif
         rno[a]=0 }; goto norm }
#endif
  /* deliver */
  :: atomic { ANYA; ANYN;
       if
       :: BIT(acq[a],n) ->
#ifdef DUPMSG
          if :: t=0 :: t=1 fi;
#else
          t=1;
#endif
          d_step { acq[a]=acq[a]^(t<<n); hold(n,a) }
       :: BIT(und[a],n) -> d_step { und[a]=und[a]^(1<<n); undo(n,a) }
#ifdef RELEASE
       :: BIT(rlm[a],n) -> d_step { rlm[a]=rlm[a]^(1<<n);
            if
            :: own[n]==a+1 -> undo(n,a); rmt[a]=1
            :: else -> rno[a]=rno[a]|(1<<n)
            fi }
#endif
       :: else -> goto norm
       fi; goto norm }
#ifdef FORGE
  /* a made-up lease id with any T: it matches nowhere */
  :: atomic { ANYN; t=1; do :: (t<MAXT+1) -> t++ :: break od; 1;
       d_step {
#ifdef RELEASE_ANY
         if :: fen[n]<t*8+7 -> fen[n]=t*8+7 :: else fi;
         assert(FS(n)!=7 || FT(n)!=t || (tk[0]==t && ph[0]==3)
                || (tk[NA-1]==t && ph[NA-1]==3));                  /* G10 */
#endif
         skip }; goto norm }
#endif
#if MEND>0
  /* the mender learns the value from a node that holds it, and bars it everywhere */
  :: atomic { ANYA; ONLY(BIT(MEND,a) && ms[a]==0 && HOLDS(a));
       d_step { ms[a]=1; mb[a]=ALL }; goto norm }
  /* barred at a majority: let go */
  :: atomic { ANYA; ONLY(ms[a]==1 && ENOUGH(mk[a]) && INTIME(a));
       d_step { ms[a]=2;
#ifdef MEND_ANY
         mu[a]=ALL;
#else
         und[a]=ALL;
#endif
         skip }; goto norm }
  /* deliver */
  :: atomic { ANYA; ANYN;
       if
       :: BIT(mb[a],n) -> d_step { mb[a]=mb[a]^(1<<n); bar(n,a) }
#ifdef MEND_ANY
       :: BIT(mu[a],n) -> d_step { mu[a]=mu[a]^(1<<n); own[n]=0; orem[n]=0 }
#endif
       :: else -> goto norm
       fi; goto norm }
#endif
#if NR>0
  /* Heartbeat: begin (the lease may have run out already: any replica serves it, without memory) */
  :: atomic { ANYR; ONLY(rs[r]==0 && ph[RA(r)]==2);
#ifdef SAME
       ONLY(r==0 || rs[(r+NR-1)%NR]!=0);
#endif
#ifdef TTLS
       t=r+1;
#else
       t=1; do :: (t<TTL) -> t++ :: break od; 1;
#endif
       d_step { rs[r]=1; re[r]=0; rt[r]=t; rn[r]=7;
         if
         :: (own[0]!=RA(r)+1 && own[1]!=RA(r)+1 && own[2]!=RA(r)+1 && acq[RA(r)]==0
#ifdef SAME
            && (NR==1 || (mi[(r+1)%NR]==0 && rn[(r+1)%NR]==0))
#endif
            )
            -> cold[r]=1
         :: else
         fi }; goto norm }
#ifdef LATE_COUNT
  :: atomic { ANYR; ONLY(rs[r]==1 && mi[r]!=0 && re[r]!=0 && rg[r]); d_step { re[r]=0 }; goto norm }
#endif
  /* renewed */
  :: atomic { ANYR; ONLY(rs[r]==1 && re[r]<r2[r]);
       d_step { rs[r]=2; assert(!cold[r]);                            /* H */
         if
         :: ph[RA(r)]==2 -> mutex(RA(r)); assert(tk[RA(r)]==lastG);  /* G1, G2 */
            if :: tm[RA(r)]<r2[r]-re[r] -> tm[RA(r)]=r2[r]-re[r] :: else fi
         :: else
         fi }; goto norm }
#ifdef LOST_UNDO
  /* LEASE_LOST: a majority without the lease.  Its client may never hear it (it listens to
     another heartbeat), so validity stays.  What matched or was repaired is undone. */
  :: atomic { ANYR; ONLY(rs[r]==1 && rf[r]>=MAJ);
       d_step { rs[r]=2; und[RA(r)]=und[RA(r)]|rm[r] };
       goto norm }
#endif
  /* over without a result: deadline, NO_QUORUM, or LEASE_LOST (which changes no node) */
  :: atomic { ANYR; ONLY(rs[r]==1); d_step { rs[r]=2 }; goto norm }
  /* deliver renew / repair */
  :: atomic { ANYR; ANYN; a=RA(r);
       if
       :: BIT(rn[r],n) -> d_step { rn[r]=rn[r]^(1<<n);
          if
          :: AMN(n) -> skip
          :: else ->
             if
             :: own[n]==a+1 -> rg[r]=1; save(n);
#ifdef SHORTEN
                orem[n]=rt[r];
#else
                if :: orem[n]<rt[r] -> orem[n]=rt[r] :: else fi;
#endif
                counted(n,r)
#ifdef RENEW_ACQUIRES
             :: own[n]==0 && !STALE(n,a) ->
                G4(n,a);
                own[n]=a+1; orem[n]=rt[r]; fen[n]=tk[a]*8+a+1; counted(n,r)
#endif
             :: else -> mi[r]=mi[r]|(1<<n)
             fi
          fi }
       :: BIT(mi[r],n) && MAYREPAIR -> d_step { mi[r]=mi[r]^(1<<n);
          if
#ifndef REPAIR_AMNESIA
          :: AMN(n) -> skip
#endif
          :: own[n]==a+1 && RVOTES(n) -> save(n);
             if :: orem[n]<rt[r] -> orem[n]=rt[r] :: else fi;
             counted(n,r)
          :: own[n]!=a+1 && RVOTES(n) && (own[n]!=0 || RSTALE(n,a) || SHUT(n,a)) ->
#ifdef LOST_UNDO
             if :: rs[r]==1 -> rf[r]=rf[r]+1 :: else fi;
#endif
             skip
          :: own[n]==0 && RVOTES(n) && !RSTALE(n,a) && !SHUT(n,a) ->
             G4(n,a);
             save(n); own[n]=a+1; orem[n]=rt[r]; fen[n]=tk[a]*8+a+1; counted(n,r)
          fi }
       :: else -> goto norm
       fi; goto norm }
#endif
#ifndef NOTICK
  /* one tick */
  :: d_step { 1 ->
       n=0;
       do
       :: n<NN ->
          if :: own[n]!=0 -> orem[n]=orem[n]-1; if :: orem[n]==0 -> own[n]=0 :: else fi :: else fi;
#if CRASH>0 || TAIL>0
          if :: quar[n]>0 -> quar[n]=quar[n]-1 :: else fi;
#endif
#if TAIL>0
          if :: pown[n]!=0 -> porem[n]=porem[n]-1; if :: porem[n]==0 -> pown[n]=0 :: else fi :: else fi;
#endif
#ifdef SUSPECT
          if :: sus[n]>0 -> sus[n]=sus[n]-1 :: else fi;
#endif
          n++
       :: else -> break
       od;
       a=0;
       do
       :: a<NA ->
          if :: ph[a]==1 && tm[a]<TTL -> tm[a]=tm[a]+1
             :: ph[a]==2 && tm[a]>0 -> tm[a]=tm[a]-1
             :: else fi;
#if MEND>0
          if :: ms[a]==1 && me[a]<TTL -> me[a]=me[a]+1 :: else fi;
#endif
          a++
       :: else -> break
       od;
#if NR>0
       r=0;
       do
       :: r<NR -> if :: rs[r]==1 && re[r]<TTL -> re[r]=re[r]+1 :: else fi; r++
       :: else -> break
       od
#endif
     }; goto norm
#endif
#ifdef AHEAD
  /* a node's clock goes on */
  :: atomic { ANYN; ONLY(lim[n]<MAXT); d_step { lim[n]=lim[n]+1 }; goto norm }
#endif
#if JUMP>0
  /* a node's wall clock jumps forward */
  :: atomic { ANYN; ONLY(jumps<JUMP && own[n]!=0); t=0; do :: t<orem[n]-1 -> t++ :: break od; 1;
       d_step { jumps=jumps+1; orem[n]=t; if :: t==0 -> own[n]=0 :: else fi;
#ifdef SUSPECT
         sus[n]=TTL;
#endif
         skip }; goto norm }
#endif
#if TAIL>0
  /* a restart without the last write, one node at a time */
  :: atomic { ANYN; ONLY(faults<CRASH+TAIL && wrote[n] && !amn[0] && !amn[1] && !amn[2]);
       d_step { faults=faults+1; own[n]=pown[n]; orem[n]=porem[n]; fen[n]=pfen[n];
         a=0;
         do
         :: a<NA -> gone[a]=gone[a]&~(1<<n); a++
         :: else -> break
         od; a=0;
#ifndef NO_RUN
         amn[n]=1; quar[n]=TTL;
#endif
         skip }; goto norm }
#endif
#if CRASH>0
  /* total loss, one node at a time */
  :: atomic { ANYN; ONLY(faults<CRASH && !amn[0] && !amn[1] && !amn[2]);
       d_step {
#if CRASH<9
         faults=faults+1;
#endif
         own[n]=0; orem[n]=0; fen[n]=0;
         gone[0]=gone[0]&~(1<<n);
#if NA>1
         gone[1]=gone[1]&~(1<<n);
#endif
#if NA>2
         gone[2]=gone[2]&~(1<<n);
#endif
#ifndef NO_QUARANTINE
         amn[n]=1; quar[n]=TTL;
#endif
         skip }; goto norm }
#endif
#if CRASH>0 || TAIL>0
  /* rejoin (taken in one step here; memory.pml takes it apart): the highest fence of both
     peers, never lowering its own; equal T with different openers counts as closed */
  :: atomic { ANYN; ONLY(amn[n] && quar[n]==0);
       d_step { amn[n]=0; take(n,(n+1)%3); take(n,(n+2)%3) }; goto norm }
#endif
  od;
norm: /* canonical form: drop messages without any effect, forget what nothing reads any more */
  atomic { 1; d_step {
#if NR>0
    r=0;
    do
    :: r<NR -> a=RA(r);
#if !defined(LOST_UNDO) && !defined(REPAIR_CLOSED) && !defined(REPAIR_FENCE)
       n=0;                /* renew and repair that can only find MISSING and STALE */
       do
       :: n<3 ->
          if :: LASTING && own[n]!=a+1 && STALE(n,a) -> rn[r]=rn[r]&~(1<<n); mi[r]=mi[r]&~(1<<n) :: else fi; n++
       :: else -> break
       od;
#endif
       if
       :: rs[r]==2 -> re[r]=0; r1[r]=0; r2[r]=0; cold[r]=0;
#ifdef LOST_UNDO
          rf[r]=0; rm[r]=0;
#endif
          if :: !(MAYREPAIR) && rn[r]==0 -> mi[r]=0 :: else fi;
          if :: rn[r]==0 && mi[r]==0 -> rt[r]=0; rg[r]=0 :: else fi
       :: else
       fi; r++
    :: else -> break
    od;
#endif
    a=0;
    do
    :: a<NA ->
       i=0;                /* nodes that renew or repair may still reach */
#if NR>0
       r=0;
       do
       :: r<NR ->
          if :: RA(r)==a && (rs[r]==1 || (rs[r]==0 && ph[a]==2)) -> i=7
             :: RA(r)==a && rs[r]==2 -> i=i|rn[r]|mi[r]
             :: else fi; r++
       :: else -> break
       od;
#endif
#if TAIL>0
       n=0;
       do
       :: n<NN -> if :: faults==CRASH+TAIL -> pown[n]=0; porem[n]=0; pfen[n]=0; wrote[n]=0 :: else fi; n++
       :: else -> break
       od;
#endif
#if MEND>0
       if :: ms[a]==1 && !INTIME(a) -> ms[a]=2 :: else fi;
       if :: ms[a]==2 -> me[a]=0; mk[a]=0 :: else fi;
#ifdef BAR_LATE
       me[a]=0;
#endif
#endif
#if !defined(NO_OPENER) && !defined(PER_LEASE)
       n=0;
       do
       :: n<NN ->
#if MEND>0
          if :: LASTING && ms[a]==2 && own[n]!=a+1 && STALE(n,a) && !BIT(i,n) -> mb[a]=mb[a]&~(1<<n) :: else fi;
#endif
          /* a hold that will always be STALE, an undo that finds its work done */
          if :: LASTING && ph[a]>0 && own[n]!=a+1 && STALE(n,a) -> acq[a]=acq[a]&~(1<<n) :: else fi;
#ifndef UNDO_ANY
          if :: LASTING && own[n]!=a+1 && STALE(n,a) && !BIT(i,n) -> und[a]=und[a]&~(1<<n) :: else fi;
#endif
          n++
       :: else -> break
       od;
#endif
       if
       :: ph[a]==3 ->
          gone[a]=gone[a]&(acq[a]|i);
#ifdef RELEASE
          if :: rlm[a]==0 && rno[a]==0 -> rmt[a]=0 :: else fi;
          if :: rlm[a]==0 && rmt[a]==0 -> rno[a]=0 :: else fi;
#endif
#ifdef REFUSERS
          rfu[a]=0;
#endif
#ifdef DUPMSG
          okm[a]=0;
#endif
          if :: (acq[a]==0 && und[a]==0 && i==0
#ifdef RELEASE
                 && rlm[a]==0 && rno[a]==0
#endif
#if MEND>0
                 && mb[a]==0
#endif
                 && !HOLDS(a)) -> tk[a]=0;
#if MEND>0
             ms[a]=2; me[a]=0; mk[a]=0;
#endif
#ifdef AHEAD
             sn[a]=0; rel[a]=0;
#endif
#ifdef SHUT_AHEAD
             shut[a]=0;
#endif
             skip
             :: else
          fi
       :: else
       fi; a++
    :: else -> break
    od;
    t=0; i=0;
#ifndef NOSYM
#if NN==3
    sortpair(0,1); sortpair(1,2); sortpair(0,1);
#else
    sortpair(0,1); sortpair(3,4); sortpair(2,4); sortpair(2,3); sortpair(0,3); sortpair(0,2); sortpair(1,4);
    sortpair(1,3); sortpair(1,2);
#endif
#endif
    a=0; r=0; n=0; t=0; i=0; k0=0; k1=0
  }; goto end }
}
