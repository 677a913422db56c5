import * as cedar from '@cedar-policy/cedar-wasm/nodejs'

/**
 * The same policy for Cedar: sets where the program has bits, rules for each role where it has a table. By the same author as
 * the program, so it finds slips, not a wrong reading of the rules; cutoffs, new records and certificates out of time are not asked. Schema validation is strict: without it a forbid that lacks an attribute is skipped.
 */
const schema = `
type Scope = {
  patient: String, grantee: String, roles: Set<Long>, deny: Bool, revoked: Bool, from: Long, until: Long, endless: Bool,
  purposes: Set<Long>, actions: Set<Long>, classes: Set<Long>, records: Set<String>,
  confidentiality: Long, sensitivity: Set<Long>, uses: Long, used: Long
};
entity Accessor;
entity Record;
action decide appliesTo { principal: Accessor, resource: Record, context: {
  who: String, organisation: String, certified: Bool, role: Long, time: Long, purpose: Long, act: Long,
  record: String, exists: Bool, patient: String, author: String, class: Long, confidentiality: Long, sensitivity: Set<Long>,
  hasGrant: Bool, grant: Scope, hasDeny: Bool, deny: Scope
} };`

const ceilings = [
  // role, purposes, actions, classes by class ([]: all), named, confidentiality by class, named
  [0, [512], [1, 2, 4], [], [], 3, 3],
  [1, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], [1, 2, 4, 8, 16, 32], [], [], 1, 3],
  [2, [1, 2, 4, 32], [1, 2, 4, 8], [], [], 2, 3],
  [3, [1], [1, 2, 8], [], [], 2, 2],
  [4, [1], [2, 8], [2, 4], [2, 4], 2, 2],
  [5, [1], [1, 2, 8], [8, 16], [8, 16], 2, 2],
  [6, [8, 16], [1, 2], [64], [], 1, 2],
  [7, [64, 128], [2], [512], [512], 1, 1],
  [8, [1024], [1, 16], [], [], 3, 3],
] as const

const permits = ceilings.map(([role, purposes, actions, byClass, named, confidential, confidentialNamed]) => {
  const isIn = (classes: readonly number[]): string =>
    classes.length ? `[${classes}].contains(context.class)` : 'true'
  return `permit(principal, action, resource) when {
    context.role == ${role} && context.hasGrant && [${purposes}].contains(context.purpose) && [${actions}].contains(context.act) &&
    context.grant.patient == context.patient && !context.grant.deny && context.grant.roles.contains(context.role) &&
    (context.grant.grantee == context.who || context.grant.grantee == context.organisation) &&
    context.grant.purposes.contains(context.purpose) && context.grant.actions.contains(context.act) &&
    context.time >= context.grant.from && context.time < context.grant.until &&
    context.confidentiality <= context.grant.confidentiality && context.grant.sensitivity.containsAll(context.sensitivity) &&
    ((context.grant.classes.contains(context.class) && ${isIn(byClass)} && context.confidentiality <= ${confidential}) ||
     (context.grant.records.contains(context.record) && ${isIn(named)} && context.confidentiality <= ${confidentialNamed}))
  };`
})

const owns = 'context.who == context.patient'
const policies = `
permit(principal, action, resource) when { ${owns} };
${permits.join('\n')}
forbid(principal, action, resource) when { !context.certified || !context.exists };
forbid(principal, action, resource) when { context.hasGrant && context.grant.revoked } unless { ${owns} };
forbid(principal, action, resource) when { context.hasGrant && context.grant.uses > 0 && context.grant.used >= context.grant.uses } unless { ${owns} };
forbid(principal, action, resource) when { context.hasGrant && context.grant.endless && [1, 7].contains(context.role) } unless { ${owns} };
forbid(principal, action, resource) when { context.role == 4 && context.act != 8 && context.author != context.who } unless { ${owns} };
forbid(principal, action, resource) when { context.role == 7 && !context.sensitivity.isEmpty() } unless { ${owns} };
forbid(principal, action, resource) when { context.role == 6 && !context.sensitivity.isEmpty() && !context.grant.classes.isEmpty() } unless { ${owns} };
forbid(principal, action, resource) when {
  context.hasDeny && context.deny.patient == context.patient && context.deny.deny && !context.deny.revoked &&
  (context.deny.grantee == "" || context.deny.grantee == context.who || context.deny.grantee == context.organisation) &&
  context.time >= context.deny.from && context.time < context.deny.until && context.deny.roles.contains(context.role) &&
  context.deny.actions.contains(context.act) && context.deny.purposes.contains(context.purpose) &&
  (context.deny.classes.contains(context.class) || context.deny.records.contains(context.record))
} unless { ${owns} };`

export type Facts = Parameters<typeof cedar.statefulIsAuthorized>[0]['context']

/** @throws Error if the policies do not fit their schema */
export function createOracle(): (context: Facts) => boolean {
  const checked = cedar.validate({
    schema,
    policies: { staticPolicies: policies },
    validationSettings: { mode: 'strict' },
  })
  if (checked.type !== 'success' || checked.validationErrors.length > 0) throw new Error(JSON.stringify(checked))
  for (const parsed of [
    cedar.preparsePolicySet('consent', { staticPolicies: policies }),
    cedar.preparseSchema('consent', schema),
  ]) {
    if (parsed.type !== 'success') throw new Error(JSON.stringify(parsed))
  }
  return (context) => {
    const answer = cedar.statefulIsAuthorized({
      principal: { type: 'Accessor', id: 'a' },
      action: { type: 'Action', id: 'decide' },
      resource: { type: 'Record', id: 'r' },
      context,
      preparsedPolicySetId: 'consent',
      preparsedSchemaName: 'consent',
      validateRequest: true,
      entities: [],
    })
    if (answer.type !== 'success' || answer.response.diagnostics.errors.length > 0)
      throw new Error(JSON.stringify(answer))
    return answer.response.decision === 'allow'
  }
}
