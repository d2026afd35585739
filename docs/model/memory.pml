/* memory.pml - what a node that lost everything takes over, and what a sweep may forget.
 *
 * One resource, three nodes, no heartbeats (vote.pml has them): hold, undo/release, expiry,
 * crash with total loss (one node at a time), quarantine, take-over in single steps, sweep.
 * Actions, network and time as in vote.pml; every attempt draws any T from 1..MAXT.
 * FENCE  T*8 + s; s = opener (attempt+1) or 7 = closed; 0 = this node has no fence.
 * FLOOR  per node: the highest T of any fence it ever dropped.  It binds every resource.
 * TAKE-OVER  after the quarantine, in separate steps at any later moments: read the fence of one
 *        peer, then its floor, the same of the other peer (both must be ready), then become
 *        ready.  What was read is applied at once or later, never lowering what the node has.
 *
 * Asserted: G1 no two leases valid at once; G2 tokens strictly grow in the order of the grants;
 *           G4 no hold is accepted at a node that ran this attempt's undo (and kept its memory).
 *
 * Size:     NA attempts, MAXT, TTL (= quarantine), CRASH crashes, SWEEPS sweeps,
 *           SANE (each new T is above all earlier ones), CLOCKS (rejoin without any peer: the
 *           fallback `floor: clocks`; any nodes may crash, also all of them)
 *           HELD (start with attempt 0 just granted by nodes 1 and 2, its hold to 3 in flight),
 *           TOP (that one has T = MAXT),
 *           QUIET (nobody undoes: leases end by expiry), STRAY=k (k undos of older attempts, of
 *           any T, arrive at any node)
 * Rules switched OFF:
 *   ONE_PEER      the take-over asks one peer
 *   EARLY_READ    peers are read before the quarantine is over (it still votes only after it)
 *   EARLY_VOTE    there is no quarantine; the take-over is there
 *   NO_TAKEOVER   the quarantine is there; no take-over
 *   T_ONLY        the T of a fence is taken over, not whether it is closed nor who opened it
 *   TIE_FIRST     of two fences with the same T and different openers the first read stays
 *   DROP_ONLY     the sweep drops a fence without raising the floor
 *   NO_PEER_FLOOR the take-over leaves out the floors of the peers
 *   FLOOR_FIRST   a peer's floor is read before its fence
 *   OPENER_PASSES a hold may come back below the floor to the fence that its attempt has opened
 *   LOW_CLOSE     a close creates a fence also at or below the floor (harmless where the floor binds)
 *   FREE_FLOOR    the floor binds only resources without a fence, and at the take-over a peer without a
 *                 fence stands for its floor, closed (the remedy C2 as first written)
 *   LOW_TAKE      (with FREE_FLOOR) a taken-over fence may be lower than a floor that was taken over with it
 *                 (the text as first written)
 */
#ifndef NA
#define NA 3
#endif
#ifndef MAXT
#define MAXT 3
#endif
#ifndef TTL
#define TTL 1
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifndef SWEEPS
#define SWEEPS 0
#endif
#ifndef STRAY
#define STRAY 0
#endif
#define MAJ 2
#define BIT(m,x) (((m)>>(x))&1)
#define FT(x) (fen[x]>>3)
#define FS(x) (fen[x]&7)
#if SWEEPS>0
#define FLOOR(x) flo[x]
#else
#define FLOOR(x) 0
#endif
/* rule d.  s = 6: opener unknown (T_ONLY) */
#define OPENED(x,b) (tk[b]==FT(x) && (FS(x)==b+1 || FS(x)==6))
#if defined(OPENER_PASSES)
#define STALE(x,b) ((tk[b]<=FLOOR(x) || tk[b]<=FT(x)) && !OPENED(x,b))
#elif !defined(FREE_FLOOR)
#define STALE(x,b) (tk[b]<=FLOOR(x) || (tk[b]<=FT(x) && !OPENED(x,b)))
#else
#define STALE(x,b) ((fen[x]==0 && tk[b]<=FLOOR(x)) || (fen[x]!=0 && (tk[b]<FT(x) || \
                   (tk[b]==FT(x) && FS(x)!=b+1 && FS(x)!=6))))
#endif

byte own[3]; byte orem[3]; byte fen[3];
#if SWEEPS>0
byte flo[3]; byte sweeps;
#endif
#if CRASH>0
bit amn[3]; byte quar[3]; byte crashes;
byte rd[3];              /* what the forgetful node has read of this peer: 1 its fence, 2 its floor,
                            4 it had no fence */
#define AMN(x) amn[x]
#else
#define AMN(x) (0)
#endif
byte ph[NA];             /* 0 not started 1 voting 2 granted 3 over */
byte tk[NA]; byte tm[NA]; byte acq[NA]; byte und[NA]; byte ok[NA]; byte gone[NA];
byte lastG;
#ifdef SANE
byte lastT;
#endif
#if STRAY>0
byte strays;
#endif
byte a; byte n; byte t; byte i; byte f; int k0; int k1;

#define ANYA a=0; do :: (a<NA-1) -> a++ :: break od
#define ANYN n=0; do :: (n<2) -> n++ :: break od
#define ONLY(c) if :: (c) :: else -> goto norm fi
#if CRASH==0
#define LASTING 1
#else
#define LASTING (crashes==CRASH && !amn[0] && !amn[1] && !amn[2])
#endif

inline hold(x,b) {
  if
  :: AMN(x) -> skip
  :: else ->
     if
     :: own[x]!=0 || STALE(x,b) -> skip
     :: else ->
        assert(BIT(gone[b],x)==0);                                 /* G4 */
        own[x]=b+1; orem[x]=TTL; fen[x]=tk[b]*8+b+1;
        if :: ph[b]==1 && ok[b]<MAJ -> ok[b]=ok[b]+1 :: else fi
     fi
  fi
}
inline undo(x,b) {
  gone[b]=gone[b]|(1<<x);
  if :: own[x]==b+1 -> own[x]=0; orem[x]=0 :: else fi;
  if
#ifdef LOW_CLOSE
  :: FT(x)<tk[b] || (FT(x)==tk[b] && FS(x)==b+1) -> fen[x]=tk[b]*8+7
#else
  :: ((fen[x]==0 && tk[b]>FLOOR(x)) || (fen[x]!=0 && FT(x)<tk[b]) ||
      (FT(x)==tk[b] && FS(x)==b+1)) -> fen[x]=tk[b]*8+7
#endif
  :: else
  fi
}
inline mutex(b) {
  i=0;
  do
  :: i<NA -> assert(!(i!=b && ph[i]==2 && tm[i]>0)); i++           /* G1 */
  :: else -> break
  od; i=0
}
#if CRASH>0
/* the fence f, read at a peer, meets what node x has */
inline take(x) {
#ifdef T_ONLY
  if :: f!=0 -> f=(f&248)+6 :: else fi;
#endif
  if
  :: (f>>3)>FT(x) -> fen[x]=f
#ifndef TIE_FIRST
  :: f!=0 && (f>>3)==FT(x) && f!=fen[x] -> fen[x]=FT(x)*8+7
#endif
  :: else
  fi
}
#endif

#define SW(v,x,y) t=v[x]; v[x]=v[y]; v[y]=t
#define SWB(m,x,y) if :: BIT(m,x)!=BIT(m,y) -> m=m^((1<<x)|(1<<y)) :: else fi
/* nodes are interchangeable */
inline key(k,x) {
  k=own[x]+4*orem[x]+16*fen[x];
#if CRASH>0
  k=k+1024*amn[x]+2048*quar[x]+8192*rd[x];
#endif
  a=0;
  do
  :: a<NA -> k=(k*2+BIT(acq[a],x))*2+BIT(und[a],x); a++
  :: else -> break
  od;
#if SWEEPS>0
  k=k*4+flo[x]
#endif
}
inline sortpair(x,y) {
  key(k0,x); key(k1,y);
  if
  :: k0>k1 ->
     SW(own,x,y); SW(orem,x,y); SW(fen,x,y);
#if SWEEPS>0
     SW(flo,x,y);
#endif
#if CRASH>0
     SW(amn,x,y); SW(quar,x,y); SW(rd,x,y);
#endif
     a=0;
     do
     :: a<NA -> SWB(acq[a],x,y); SWB(und[a],x,y); SWB(gone[a],x,y); a++
     :: else -> break
     od
  :: else
  fi
}

init {
#ifdef HELD
  atomic {
#ifdef TOP
    t=MAXT;
#else
    t=1; do :: (t<MAXT) -> t++ :: break od;
#endif
    tk[0]=t; lastG=t; ph[0]=2; tm[0]=TTL;
    own[0]=1; own[1]=1; orem[0]=TTL; orem[1]=TTL; fen[0]=t*8+1; fen[1]=t*8+1; acq[0]=4; t=0;
    goto norm };
#endif
end:
  do
  :: atomic { ANYA; ONLY(ph[a]==0 && (a==0 || ph[(a+NA-1)%NA]!=0));
#ifdef SANE
       t=lastT+1; ONLY(t<=MAXT); lastT=t;
#else
       t=1; do :: (t<MAXT) -> t++ :: break od; 1;
#endif
       d_step { tk[a]=t; ph[a]=1; acq[a]=7 }; goto norm }
  :: atomic { ANYA; ONLY(ph[a]==1 && ok[a]>=MAJ && tm[a]<TTL);
       d_step { mutex(a); assert(tk[a]>lastG);                      /* G1, G2 */
         lastG=tk[a]; ph[a]=2; tm[a]=TTL-tm[a]; ok[a]=0 }; goto norm }
#ifndef QUIET
  :: atomic { ANYA; ONLY(ph[a]==1 || ph[a]==2);
       d_step { ph[a]=3; tm[a]=0; ok[a]=0; und[a]=7 }; goto norm }
#else
  /* a voting attempt that can no longer be granted is over */
  :: atomic { ANYA; ONLY((ph[a]==1 && tm[a]==TTL) || (ph[a]==2 && tm[a]==0));
       d_step { ph[a]=3; tm[a]=0; ok[a]=0 }; goto norm }
#endif
#if STRAY>0
  /* the undo of an older attempt, any T, arrives at last */
  :: atomic { ONLY(strays<STRAY); ANYN; t=1; do :: (t<MAXT) -> t++ :: break od; 1;
       d_step { strays=strays+1;
         if
#ifdef LOW_CLOSE
         :: FT(n)<t -> fen[n]=t*8+7
#else
         :: (fen[n]==0 && t>FLOOR(n)) || (fen[n]!=0 && FT(n)<t) -> fen[n]=t*8+7
#endif
         :: else
         fi }; goto norm }
#endif
  :: atomic { ANYA; ANYN;
       if
       :: BIT(acq[a],n) -> d_step { acq[a]=acq[a]^(1<<n); hold(n,a) }
       :: BIT(und[a],n) -> d_step { und[a]=und[a]^(1<<n); undo(n,a) }
       :: else -> goto norm
       fi; goto norm }
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
       od }; goto norm
#if SWEEPS>0
  /* sweep: any age (a day in the product) */
  :: atomic { ANYN; ONLY(sweeps<SWEEPS && own[n]==0 && fen[n]!=0 && !AMN(n));
       d_step { sweeps=sweeps+1;
#ifndef DROP_ONLY
         if :: flo[n]<FT(n) -> flo[n]=FT(n) :: else fi;
#endif
         fen[n]=0 }; goto norm }
#endif
#if CRASH>0
  :: atomic { ANYN; ONLY(crashes<CRASH);
#ifndef CLOCKS
       ONLY(!amn[0] && !amn[1] && !amn[2]);
#endif
       d_step { crashes=crashes+1; own[n]=0; orem[n]=0; fen[n]=0; amn[n]=1; quar[n]=TTL;
         rd[0]=0; rd[1]=0; rd[2]=0;
#ifdef EARLY_VOTE
         quar[n]=0;
#endif
#if SWEEPS>0
         flo[n]=0;
#endif
         gone[0]=gone[0]&~(1<<n); gone[NA-1]=gone[NA-1]&~(1<<n);
#if NA>2
         gone[1]=gone[1]&~(1<<n);
#endif
#if NA>3
         gone[2]=gone[2]&~(1<<n);
#endif
         skip }; goto norm }
#ifndef EARLY_READ
#define READY (quar[n]==0)
#else
#define READY 1
#endif
  /* read the fence of one peer (n reads i) */
  :: atomic { ANYN; i=0; do :: (i<2) -> i++ :: break od;
       ONLY(amn[n] && READY && i!=n && !amn[i] && !BIT(rd[i],0)
#if SWEEPS>0 && defined(FLOOR_FIRST)
            && BIT(rd[i],1)
#endif
           );
       d_step { f=fen[i];
#if SWEEPS>0 && defined(FREE_FLOOR) && !defined(LOW_TAKE)
         if :: f==0 -> rd[i]=rd[i]|4 :: else fi;
#ifdef FLOOR_FIRST
         if :: f==0 && flo[n]>0 -> f=flo[n]*8+7 :: else fi;
#endif
#endif
         take(n); rd[i]=rd[i]|1; f=0; i=0 }; goto norm }
#if SWEEPS>0
  /* and its floor */
  :: atomic { ANYN; i=0; do :: (i<2) -> i++ :: break od;
       ONLY(amn[n] && READY && i!=n && !amn[i] && !BIT(rd[i],1)
#ifndef FLOOR_FIRST
            && BIT(rd[i],0)
#endif
           );
       d_step {
#ifndef NO_PEER_FLOOR
         if :: flo[n]<flo[i] -> flo[n]=flo[i] :: else fi;
#if defined(FREE_FLOOR) && !defined(LOW_TAKE)
         if
         :: BIT(rd[i],2) && flo[i]>0 -> f=flo[i]*8+7; take(n); f=0
         :: else
         fi;
#endif
#endif
         rd[i]=rd[i]|2; i=0 }; goto norm }
#define DONE(x) ((rd[x]&3)==3)
#else
#define DONE(x) (rd[x]==1)
#endif
  /* become ready */
  :: atomic { ANYN;
#if defined(NO_TAKEOVER) || defined(CLOCKS)
       ONLY(amn[n] && quar[n]==0);
#elif defined(ONE_PEER)
       ONLY(amn[n] && quar[n]==0 && (DONE(0) || DONE(1) || DONE(2)));
#else
       ONLY(amn[n] && quar[n]==0 && DONE(0)+DONE(1)+DONE(2)==2);
#endif
       d_step { amn[n]=0; rd[0]=0; rd[1]=0; rd[2]=0 }; goto norm }
#endif
  od;
norm:
  atomic { 1; d_step {
    a=0;
    do
    :: a<NA ->
       n=0;
       do
       :: n<3 ->
#if SWEEPS==0
          if :: LASTING && ph[a]>0 && own[n]!=a+1 && STALE(n,a) && FS(n)!=6 ->
                acq[a]=acq[a]&~(1<<n); und[a]=und[a]&~(1<<n) :: else fi;
#else
          if :: LASTING && sweeps==SWEEPS && ph[a]>0 && own[n]!=a+1 && STALE(n,a) && fen[n]!=0 ->
                acq[a]=acq[a]&~(1<<n); und[a]=und[a]&~(1<<n) :: else fi;
#endif
          n++
       :: else -> break
       od;
       if :: ph[a]==1 && tm[a]==TTL -> ok[a]=0 :: else fi;
       if
       :: ph[a]==3 -> gone[a]=gone[a]&acq[a];
          if :: (acq[a]==0 && und[a]==0 && own[0]!=a+1 && own[1]!=a+1 && own[2]!=a+1) -> tk[a]=0
             :: else fi
       :: else
       fi; a++
    :: else -> break
    od;
    t=0; i=0; f=0;
#ifndef NOSYM
    sortpair(0,1); sortpair(1,2); sortpair(0,1);
#endif
    a=0; n=0; t=0; i=0; k0=0; k1=0
  }; goto end }
}
