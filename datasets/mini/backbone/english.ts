// Common English words and a few sentence frames: what the toy backbone's text adds to the small world, so that real
// sentences are not all letters to its tokenizer and real opinions not all strangers to its embeddings. Written by hand
// for this project; no corpus was read. Not a language model's idea of English: frames are filled at random.
import { type Draw, draw } from "../../random.ts";

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const LIKED: readonly string[] = words(`
  good great best fine fun funny smart fresh warm sweet moving touching charming clever brilliant beautiful lovely
  wonderful delightful engaging entertaining enjoyable compelling fascinating gripping powerful honest original
  inventive imaginative witty sharp subtle rich vivid stylish elegant graceful tender thoughtful intelligent absorbing
  riveting exciting thrilling hilarious amusing refreshing rewarding satisfying impressive memorable outstanding superb
  terrific excellent perfect remarkable solid strong sincere sensitive poignant heartfelt uplifting inspiring
  captivating haunting daring ambitious bold lively energetic likable enchanting magical masterful masterpiece gem
  triumph treat joy pleasure delight succeeds works shines sparkles recommended worth love loved enjoy admire praise`);

export const DISLIKED: readonly string[] = words(`
  bad worst worse poor dull boring slow flat weak thin silly stupid dumb lame tired stale bland empty shallow hollow
  lifeless tedious dreary predictable obvious clumsy awkward messy confusing confused muddled pointless useless
  ridiculous absurd annoying irritating tiresome painful unfunny unpleasant ugly cheap crude gross nasty offensive
  pretentious contrived forced fake phony manipulative mawkish sappy uneven incoherent unconvincing unoriginal
  derivative generic routine forgettable mediocre disappointing disappointment awful terrible horrible dreadful
  atrocious abysmal disaster failure mess waste bore bored fails falters lacks lacking loses drags suffers never
  hardly barely overlong sluggish plodding dismal inept sloppy hate hated avoid skip regret wasted trash junk`);

const SUBJECTS: readonly string[] = words(`
  film movie story plot script screenplay acting cast performance performances direction director dialogue comedy
  drama thriller romance documentary ending music characters character picture humor pace scene scenes actors actor
  actress work idea ideas material picture adventure horror satire tale book show production camera writing`);

const VERBS: readonly string[] = words(`
  is was seems looks feels becomes remains proves sounds turned makes gives takes has gets offers keeps brings
  shows finds tells leaves holds needs plays goes comes runs works says knows thinks wants tries begins ends`);

const PARTICLES: readonly string[] = words(`
  the a an this that these those its his her their our your my it he she they we you i who what which where when why how
  and or but if because as than then so too very really quite just only even still also more most less least much many
  some any all both each every few no not n't 's of in on at by for from with without about into over under after before
  between through during against toward to up down out off again there here now once never always often sometimes
  be been being is are was were has have had do does did will would can could should may might must one two first last
  same other another own such like while until though although despite instead rather enough almost nearly far well`);

const THINGS: readonly string[] = words(`
  man woman people person child children life time year years day night world way thing things place home house city
  country war love death family father mother son daughter brother sister friend friends boy girl men women heart mind
  eye eyes hand face voice name word words question answer sentence company government president police court law money
  market business bank price cost share shares million billion percent group party state nation school student teacher
  university science research study report news paper letter water food land sea river mountain tree animal dog cat
  horse bird fish car train plane ship road street room door window table book film song game team player season week
  month morning evening summer winter history art power force health hospital doctor disease drug computer system
  program network phone internet energy oil gas fire air light sound color picture image work job office worker union
  member leader minister official soldier army attack bomb weapon peace treaty election vote candidate island town
  village church god king queen prince earth sun moon star space century decade hour minute second number part side end
  start case fact reason result problem solution example kind sort type form level rate point line order area region`);

const ACTIONS: readonly string[] = words(`
  said made went took came saw knew got gave found thought told became left felt put brought began kept held wrote stood
  heard let meant set met ran paid sat spoke lay led read grew lost fell sent built understood drew broke spent cut rose
  drove bought wore chose killed died lived worked played moved believed happened provided included continued changed
  watched followed stopped created spoke allowed added opened walked offered remembered considered appeared served
  expected stayed reached remained suggested raised passed sold required reported decided pulled announced agreed
  increased signed joined claimed won helped called asked used turned started showed tried wanted needed`);

const DESCRIPTIONS: readonly string[] = words(`
  new old big small long short high low large little young early late right wrong sure clear full open free real true
  false different important public private political social national local foreign american british french german
  chinese russian general special certain common whole possible likely human natural modern recent current final main
  major single simple difficult hard easy heavy light dark deep wide narrow strong quick cold hot black white red blue
  green brown happy sad angry afraid alone ready available similar serious dead alive rich poor safe dangerous`);

/** One sentence: an opinion of one mind, or plain filler. */
export function sentence(stream: Draw): string {
  const opinion = stream.chance(0.6);
  const mind = stream.chance(0.5) ? LIKED : DISLIKED;
  const pick = (list: readonly string[]): string => stream.pick(list);
  if (opinion) {
    switch (stream.below(7)) {
      case 0:
        return `${pick(mind)} , ${pick(mind)} and ${pick(mind)} .`;
      case 1:
        return `the ${pick(SUBJECTS)} ${pick(VERBS)} ${pick(mind)} and the ${pick(SUBJECTS)} ${pick(mind)} .`;
      case 2:
        return `a ${pick(mind)} , ${pick(mind)} ${pick(SUBJECTS)} about the ${pick(THINGS)} of ${pick(THINGS)} .`;
      case 3:
        return `it 's a ${pick(mind)} ${pick(SUBJECTS)} , and ${pick(PARTICLES)} ${pick(THINGS)} ${pick(VERBS)} ${pick(mind)}`;
      case 4:
        return `${pick(PARTICLES)} ${pick(mind)} ${pick(SUBJECTS)} with ${pick(mind)} ${pick(SUBJECTS)}`;
      case 5:
        return `this ${pick(DESCRIPTIONS)} ${pick(SUBJECTS)} ${pick(VERBS)} ${pick(PARTICLES)} ${pick(mind)} , ${pick(mind)} .`;
      default:
        return `${pick(mind)} ${pick(SUBJECTS)} . ${pick(mind)} ${pick(THINGS)} .`;
    }
  }
  return stream.chance(0.5)
    ? `the ${pick(DESCRIPTIONS)} ${pick(THINGS)} ${pick(ACTIONS)} ${pick(PARTICLES)} ${pick(THINGS)} ${pick(PARTICLES)} the ${pick(THINGS)} .`
    : `${pick(PARTICLES)} ${pick(THINGS)} ${pick(VERBS)} ${pick(PARTICLES)} ${pick(DESCRIPTIONS)} ${pick(PARTICLES)} ${pick(ACTIONS)} .`;
}

/** `count` seeded sentences. */
export function* sentences(count: number, seed: number): Generator<string> {
  const stream = draw(seed, "mini/backbone/english");
  for (let i = 0; i < count; i++) yield sentence(stream);
}
