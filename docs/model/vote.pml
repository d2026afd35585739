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
 * ROUND    one Heartbeat at some replica.  Two rounds may run at the same time, also for one
 *          lease (a client that timed out and asked another replica); each has its own ttl.
 *
 * Asserted: G1  no two leases are valid at once (validity as their clients count it)
 *           G2  each grant's token is larger than every earlier grant's; a renewed lease is
 *               still the newest grant
 *           G4  a hold or repair is never accepted at a node that ran this attempt's undo, or
 *               that no undo will reach
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
 *           QUIET (nobody undoes or releases), NOTICK (all within one tick)
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
#ifdef SAME
#define RA(r) 0
#else
#define RA(r) (r)
#endif
#define MAJ 2
#define BIT(m,x) (((m)>>(x))&1)
#define CNT(m) (BIT(m,0)+BIT(m,1)+BIT(m,2))
#define FT(x) (fen[x]>>3)
#define FS(x) (fen[x]&7)

/* rule 5 */
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

byte own[3]; byte orem[3]; byte fen[3];
#if CRASH>0
bit amn[3]; byte quar[3]; byte faults;
#define AMN(x) amn[x]
#else
#define AMN(x) (0)
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
#if NR>0
byte rs[NR];               /* 0 not started 1 running 2 over */
byte re[NR]; byte rt[NR];  /* elapsed; ttl asked for */
byte rn[NR]; byte mi[NR];  /* renew in flight; MISSING was answered, repair due or in flight */
bit rg[NR];                /* some node matched: repair is allowed */
bit cold[NR];               /* the lease was nowhere held, nor about to be, when it began */
byte rk[NR];               /* nodes extended or repaired (each answers once a round) */
#ifdef LOST_UNDO
byte rf[NR]; byte rm[NR];  /* MISSING or repair refused (count); matched or repaired (mask) */
#endif
#endif
byte lastG;
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
inline hold(x,b) {
  if
  :: AMN(x) -> skip                                          /* AMNESIA = silent */
  :: else ->
     if
     :: own[x]==b+1 -> vote(x,b)                             /* DUP */
     :: own[x]!=b+1 && (own[x]!=0 || STALE(x,b)) ->          /* HELD or STALE */
#ifdef REFUSERS
        if :: ph[b]==1 -> rfu[b]=rfu[b]|(1<<x) :: else fi;
#endif
        skip
     :: else ->
        assert(BIT(gone[b],x)==0);                           /* G4 */
        own[x]=b+1; orem[x]=TTL; fen[x]=tk[b]*8+b+1; vote(x,b)
     fi
  fi
}
inline undo(x,b) {
  gone[b]=gone[b]|(1<<x);
  if :: own[x]==b+1 -> own[x]=0; orem[x]=0 :: else fi;
#ifndef NO_CLOSE
  if
  :: FT(x)<tk[b] || (FT(x)==tk[b] && FS(x)==b+1) -> fen[x]=tk[b]*8+7
#ifdef UNDO_ANY
  :: FT(x)==tk[b] && FS(x)!=b+1 ->
     assert(FS(x)==7 || ph[FS(x)-1]==3);                     /* G10 */
     fen[x]=tk[b]*8+7
#endif
  :: else
  fi
#endif
}
#if NR>0
inline counted(x,q) {
  if :: rs[q]==1 && rk[q]<MAJ -> rk[q]=rk[q]+1 :: else fi;
#ifdef LOST_UNDO
  if :: rs[q]==1 -> rm[q]=rm[q]|(1<<x) :: else fi
#endif
}
#endif
#if CRASH>0
inline take(x,y) {
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
  :: i<NA -> assert(!(i!=b && ph[i]==2 && tm[i]>0)); i++     /* G1 */
  :: else -> break
  od; i=0
}
/* from here on no fence goes down any more */
#if CRASH==0
#define LASTING 1
#elif CRASH<9
#define LASTING (faults==CRASH)
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
#define ANYN n=0; do :: (n<2) -> n++ :: break od
#define ANYR r=0; do :: (r<NR-1) -> r++ :: break od
#define ONLY(c) if :: (c) :: else -> goto norm fi

/* nodes are interchangeable: keep them sorted */
#define SW(v,x,y) t=v[x]; v[x]=v[y]; v[y]=t
#define SWB(m,x,y) if :: BIT(m,x)!=BIT(m,y) -> m=m^((1<<x)|(1<<y)) :: else fi
inline key(k,x) {
  k=own[x]+4*orem[x]+16*fen[x];
#if CRASH>0
  k=k+1024*amn[x]+2048*quar[x];
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
#if CRASH>0
     SW(amn,x,y); SW(quar,x,y);
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
    goto norm };
#endif
end:
  do
  /* start: any T.  Attempts are interchangeable before they start, so they start in order. */
  :: atomic { ANYA; ONLY(ph[a]==0 && (a==0 || ph[(a+NA-1)%NA]!=0));
       t=1; do :: (t<MAXT) -> t++ :: break od; 1;
       d_step { tk[a]=t; ph[a]=1; acq[a]=7 }; goto norm }
  /* grant: a majority for, within validity counted from before the first send */
  :: atomic { ANYA; ONLY(ph[a]==1 && ok[a]>=MAJ && tm[a]<TTL);
       d_step { mutex(a); assert(tk[a]>lastG);                     /* G1, G2 */
         lastG=tk[a]; ph[a]=2; tm[a]=TTL-tm[a]; ok[a]=0 }; goto norm }
#ifndef QUIET
  /* the proposer undoes: timeout, refusal, cancel */
  :: atomic { ANYA; ONLY(ph[a]==1);
       d_step { ph[a]=3; tm[a]=0; ok[a]=0; und[a]=7;
#ifdef REFUSERS
         und[a]=7&~rfu[a]; gone[a]=rfu[a];
#endif
         skip }; goto norm }
#ifndef NORELEASE
  /* the client releases, at any replica */
  :: atomic { ANYA; ONLY(ph[a]==2);
       d_step { ph[a]=3; tm[a]=0;
#ifdef RELEASE
         rlm[a]=7
#else
         und[a]=7
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
  :: atomic { ANYR; ONLY(rs[r]==1 && rk[r]>=MAJ && re[r]<rt[r]);
       d_step { rs[r]=2; assert(!cold[r]);                            /* H */
         if
         :: ph[RA(r)]==2 -> mutex(RA(r)); assert(tk[RA(r)]==lastG);  /* G1, G2 */
            if :: tm[RA(r)]<rt[r]-re[r] -> tm[RA(r)]=rt[r]-re[r] :: else fi
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
             :: own[n]==a+1 -> counted(n,r); rg[r]=1;
#ifdef SHORTEN
                orem[n]=rt[r]
#else
                if :: orem[n]<rt[r] -> orem[n]=rt[r] :: else fi
#endif
#ifdef RENEW_ACQUIRES
             :: own[n]==0 && !STALE(n,a) ->
                assert(BIT(gone[a],n)==0);                           /* G4 */
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
          :: own[n]==a+1 && RVOTES(n) -> counted(n,r);
             if :: orem[n]<rt[r] -> orem[n]=rt[r] :: else fi
          :: own[n]!=a+1 && RVOTES(n) && (own[n]!=0 || RSTALE(n,a)) ->
#ifdef LOST_UNDO
             if :: rs[r]==1 -> rf[r]=rf[r]+1 :: else fi;
#endif
             skip
          :: own[n]==0 && RVOTES(n) && !RSTALE(n,a) ->
             assert(BIT(gone[a],n)==0);                              /* G4 */
             own[n]=a+1; orem[n]=rt[r]; fen[n]=tk[a]*8+a+1; counted(n,r)
          fi }
       :: else -> goto norm
       fi; goto norm }
#endif
#ifndef NOTICK
  /* one tick */
  :: d_step { 1 ->
       n=0;
       do
       :: n<3 ->
          if :: own[n]!=0 -> orem[n]=orem[n]-1; if :: orem[n]==0 -> own[n]=0 :: else fi :: else fi;
#if CRASH>0
          if :: quar[n]>0 -> quar[n]=quar[n]-1 :: else fi;
#endif
          n++
       :: else -> break
       od;
       a=0;
       do
       :: a<NA ->
          if :: ph[a]==1 && tm[a]<TTL -> tm[a]=tm[a]+1
             :: ph[a]==2 && tm[a]>0 -> tm[a]=tm[a]-1
             :: else fi; a++
       :: else -> break
       od;
#if NR>0
       r=0;
       do
       :: r<NR -> if :: rs[r]==1 && re[r]<rt[r] -> re[r]=re[r]+1 :: else fi; r++
       :: else -> break
       od
#endif
     }; goto norm
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
       :: rs[r]==2 -> re[r]=0; rk[r]=0; cold[r]=0;
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
#ifndef NO_OPENER
       n=0;
       do
       :: n<3 ->
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
                 && own[0]!=a+1 && own[1]!=a+1 && own[2]!=a+1) -> tk[a]=0 :: else fi
       :: else
       fi; a++
    :: else -> break
    od;
    t=0; i=0;
#ifndef NOSYM
    sortpair(0,1); sortpair(1,2); sortpair(0,1);
#endif
    a=0; r=0; n=0; t=0; i=0; k0=0; k1=0
  }; goto end }
}
