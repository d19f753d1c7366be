// judge.js judges npm packages by the libraries of npm itself. It reads an order as
// JSON from its standard input and prints, by key, what is wrong with a package.
//
// A listed package must be found in both packuments, with its neighbour, be
// unpacked with its integrity checked, and be what npm publish would have stated of
// its tarball. Of a refused one it is told why npm could not publish it either.
'use strict'
const fs = require('fs'), path = require('path')
const order = JSON.parse(fs.readFileSync(0))
const library = name => require(path.join(order.npm, 'node_modules', name))
const pacote = library('pacote'), semver = library('semver'), { resolve } = library('npm-package-arg'), validName = library('validate-npm-package-name')
const options = { registry: order.registry, cache: order.work + '/cache', retry: { retries: 0 }, fetchRetries: 0, log: undefined }
if (!order.compare) delete options.retry

// The fields that an installation goes by, and of which type they are for it: a list
// or a text (0), a map of texts (1), of objects (2), or anything.
const compared = { dependencies: 1, optionalDependencies: 1, peerDependencies: 1, peerDependenciesMeta: 2, bundleDependencies: 0, bin: 1, engines: 1, os: 0, cpu: 0, libc: 0 }
const hooks = ['preinstall', 'install', 'postinstall']

// canonical is a value as text: members in order, and nothing for what is empty or of
// another type. Clients write URLs in different ways, and half a letter cannot be
// written. A dependency that is optional too is optional.
const text = value => JSON.stringify(value).replace(/\\ud[89a-f][0-9a-f]{2}/g, '\ufffd')
const canonical = (m, f, optional) => {
  const kind = compared[f]
  const value = Array.isArray(m[f]) ? m[f].filter(v => v !== '__proto__') : m[f]
  if (kind === 0) return typeof value === 'string' || (Array.isArray(value) && value.length) ? text(value) : ''
  if (value === null || typeof value !== 'object' || (Array.isArray(value) && f !== 'engines')) return ''
  const is = { 1: v => typeof v === 'string' || f === 'engines', 2: v => v && typeof v === 'object' }[kind]
  const keys = Object.keys(value).filter(k => k !== '__proto__' && is(value[k]) && !(f === 'dependencies' && optional.includes(k))).sort()
  return Array.isArray(value) || !keys.length ? '' : text(keys.map(k => [k, /[/:]/.test(value[k]) && f !== 'bin' ? 'a URL' : value[k]]))
}

const listed = async p => {
  const id = p.name + '@' + p.version, spec = resolve(p.name, p.version)
  const full = await pacote.manifest(spec, { ...options, fullMetadata: true })
  const short = await pacote.manifest(spec, { ...options, fullMetadata: false })
  for (const m of [full, short]) if (m.name + '@' + m.version !== id) throw new Error('the packument tells of ' + m.name + '@' + m.version)
  const neighbour = await pacote.manifest(resolve(p.name, '0.0.1'), options)
  if (neighbour.version !== '0.0.1') throw new Error('the neighbour is ' + neighbour.version)
  const folder = path.join(order.work, p.key)
  await pacote.extract(spec, folder, { ...options, integrity: full._integrity })
  const own = JSON.parse(fs.readFileSync(folder + '/package.json', 'utf8').replace(/^\uFEFF/, ''))
  if (own.name.trim() !== p.name || semver.clean(own.version, true) !== p.version) throw new Error('unpacked it is ' + own.name + '@' + own.version)
  if (!order.compare) return
  // Some that can be installed cannot be published by npm.
  const stated = await pacote.manifest('file:' + p.tarball, { ...options, fullMetadata: true, fullReadJson: true }).catch(() => null)
  if (!stated) return
  if (stated.name + '@' + stated.version !== id) throw new Error('npm states ' + stated.name + '@' + stated.version)
  const optional = Object.keys(own.optionalDependencies || {})
  for (const f in compared) {
    if (canonical(full, f, optional) !== canonical(stated, f, optional)) throw new Error(`${f} is ${canonical(full, f, optional)}, and npm states ${canonical(stated, f, optional)}`)
    if (canonical(short, f, optional) !== canonical(stated, f, optional)) throw new Error(`${f} is ${canonical(short, f, optional)} in the abbreviated packument, and npm states ${canonical(stated, f, optional)}`)
  }
  for (const h of hooks) {
    const [a, b] = [full, stated].map(m => (m.scripts || {})[h] || '')
    if (a !== b) throw new Error(`the script ${h} is ${a}, and npm states ${b}`)
  }
}

const refused = async p => {
  const stated = await pacote.manifest('file:' + p.tarball, { ...options, fullMetadata: true, fullReadJson: true })
  const name = validName(String(stated.name))
  const wrong = [...name.errors || [], ...(name.warnings || []).filter(w => /special characters/.test(w))]
  if (wrong.length) throw new Error('its name: ' + wrong)
  if (!semver.valid(stated.version)) throw new Error('its version')
}

const run = async () => {
  const wrong = {}
  const all = [...order.listed.map(p => [listed, p]), ...order.refused.map(p => [refused, p])]
  const worker = async () => {
    for (let one; (one = all.shift());) await one[0](one[1]).catch(e => { wrong[one[1].key] = String(e.message || e) })
  }
  await Promise.all([worker(), worker(), worker(), worker()])
  process.stdout.write(JSON.stringify(wrong))
}
run()
